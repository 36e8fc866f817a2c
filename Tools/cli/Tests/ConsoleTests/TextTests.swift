import Console
import Testing

@Suite struct TextTests {
  @Test("Sizes are read in every unit, and nothing else is")
  func readsSizes() {
    #expect(ByteSize("0")?.byteCount == 0)
    #expect(ByteSize("4096")?.byteCount == 4096)
    #expect(ByteSize("7B")?.byteCount == 7)
    #expect(ByteSize("64MiB")?.byteCount == 64 << 20)
    #expect(ByteSize("16TiB")?.byteCount == 16 << 40)
    let bad = [
      "", "MiB", "1MB", "-1", "1 MiB", "1.5GiB", "0x10", "18446744073709551616", "99999999TiB",
    ]
    for text in bad { #expect(ByteSize(text) == nil, "\(text)") }
  }

  @Test(
    "Sizes are written for people",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"),
      (3 << 29, "1.5 GiB"),
    ])
  func writesSizes(byteCount: UInt64, text: String) {
    #expect(ByteSize(byteCount).description == text)
  }

  @Test("Base64 has one form, and takes nothing else")
  func base64() {
    let known = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg=="]
    for (bytes, text) in known {
      #expect(Base64.encode(Array(bytes.utf8)) == text)
      #expect(Base64.decode(text) == Array(bytes.utf8))
    }
    for text in ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z=g=", "Zg==Zg==", "Zm 9v", "Zm-_"] {
      #expect(Base64.decode(text) == nil, "\(text)")
    }
    let every = (0..<256).map { UInt8($0) }
    for count in 250...256 {
      #expect(
        Base64.decode(Base64.encode(Array(every.prefix(count)))) == Array(every.prefix(count)))
    }
  }

  @Test("Hexadecimal takes pairs of digits")
  func hexadecimal() {
    #expect(Hexadecimal.encode([0, 255, 16]) == "00ff10")
    #expect(Hexadecimal.decode("00fF10") == [0, 255, 16])
    for text in ["0", "0g", "0x00", " 00"] { #expect(Hexadecimal.decode(text) == nil, "\(text)") }
  }
}
