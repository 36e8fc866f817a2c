import Console
import Testing

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

  @Test("What is written is read back as it was")
  func roundTrip() throws {
    let value: JSONValue = [
      "a": [1, -2, true, false, nil], "text": "quote \" slash \\ \n\r\t \u{1} \u{7F} é 🦀",
      "deep": ["x": ["y": []]], "maximum": .integer(.max), "fraction": .number(0.25),
    ]
    #expect(try JSONParser.parse(value.encoded) == value)
    #expect(!value.encoded.contains(10))
  }

  @Test("Escapes, surrogate pairs and numbers are read as the standard says")
  func reads() throws {
    #expect(try parse(#""\u00e9\ud83e\udd80\/\b""#) == "é🦀/\u{8}")
    #expect(try parse(" [ 1 , 2.5 , -0 , 1e3 ] ") == [1, .number(2.5), 0, .number(1000)])
    #expect(try parse("{}") == [:])
    #expect(try parse("18446744073709551615") == .number(18_446_744_073_709_551_616))
  }

  @Test("What is no JSON is refused, and nothing traps")
  func refuses() {
    let bad = [
      "", " ", "{", "}", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "tru", "nul", "01",
      "1.", ".5", "+1", "-", "1e", "1e999", "\"", "\"\\", "\"\\u12\"", "\"\\ud800\"",
      "\"\\ud800\\u0041\"",
      "\"\\udc00\"", "\"\\x\"", "\"\n\"", "1 2", "[1] x", "\u{FEFF}1",
      String(repeating: "[", count: 100_000),
    ]
    for text in bad {
      #expect(throws: JSONParseError.self, "\(text.prefix(40))") { try parse(text) }
    }
    #expect(throws: JSONParseError.self) { try JSONParser.parse([34, 0xC3, 34]) }
  }

  @Test("Every prefix and every changed byte of a request parses or is refused")
  func survivesDamage() {
    let line = Array(#"{"op":"put","key":"\u00e9","n":[1,-2.5e3,null],"t":true}"#.utf8)
    var refusals = 0
    for count in 0..<line.count where (try? JSONParser.parse(Array(line.prefix(count)))) == nil {
      refusals += 1
    }
    #expect(refusals == line.count)
    for index in line.indices {
      for bit in 0..<8 {
        var damaged = line
        damaged[index] ^= 1 << bit
        _ = try? JSONParser.parse(damaged)
      }
    }
  }

  @Test("Bytes stand as text or as base64, and never as both")
  func bytes() throws {
    #expect(JSONBytes.member("key", [104, 105]) == .init("key", "hi"))
    #expect(JSONBytes.member("key", [255]) == .init("keyB64", "/w=="))
    #expect(JSONBytes.member("key", [104], alwaysBase64: true) == .init("keyB64", "aA=="))
    #expect(try JSONBytes.bytes("key", in: ["keyB64": "/w=="]) == [255])
    #expect(try JSONBytes.bytes("key", in: [:]) == nil)
    for object: JSONValue in [["key": "a", "keyB64": "aA=="], ["key": 1], ["keyB64": "?"]] {
      #expect(throws: ToolError.self) { try JSONBytes.bytes("key", in: object) }
    }
  }
}
