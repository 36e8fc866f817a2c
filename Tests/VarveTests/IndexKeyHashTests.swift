import Testing
import VarveFormat

@Suite struct IndexKeyHashTests {
  private let secret = HashKey(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)

  /// The vectors of the authors (2-4), and those that OpenSSL 3 prints for 1-3, of the bytes
  /// 0, 1, 2 ... under the key 00 01 ... 0f.
  @Test(arguments: [
    (0, "a3817f04ba25a8e66df67214c7550293", "e77ebcb22788a5befd62db6add303001"),
    (1, "da87c1d86b99af44347659119b22fc45", "fc6f370460d3eda85e0573cc2b2ff063"),
    (2, "8177228da4a45dc7fca38bdef60affe4", "75787f090569839b855bc9548c6aea95"),
    (15, "5493e99933b0a8117e08ec0f97cfc3d9", "c17e5505b2bd526c2921cdec1e7e0109"),
  ])
  func publishedVectors(byteCount: Int, slow: String, fast: String) {
    let bytes = (0..<byteCount).map { UInt8($0) }
    let digest24 = SipHash.digest(
      of: bytes.span.bytes, key: secret, compressionRounds: 2, finalizationRounds: 4)
    #expect(hex(digest24) == slow)
    #expect(hex(SipHash.digest13(of: bytes.span.bytes, key: secret)) == fast)
  }

  @Test func everyLengthAgreesWithAPlainImplementation() {
    var random = IndexRandom(seed: drawSeed())
    for byteCount in 0..<300 {
      let bytes = (0..<byteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let secret = HashKey(low: random.next(), high: random.next())
      #expect(words(SipHash.digest13(of: bytes.span.bytes, key: secret)) == plain13(bytes, secret))
    }
  }

  @Test func theHashIsTheLowWordAndTheTopBitsOfTheHigh() {
    let bytes: [UInt8] = [0]
    let hash = KeyHash(of: bytes.span.bytes, keyedBy: secret)
    #expect(hash.fingerprint == 0xa8ed_d360_0437_6ffc)
    #expect(hash.selector == 0x63f02f)
    #expect(hash == KeyHash(fingerprint: 0xa8ed_d360_0437_6ffc, selector: 0x63f02f))
    #expect(hash != KeyHash(of: bytes.span.bytes, keyedBy: HashKey(low: 1, high: 2)))
  }

  private func hex(_ digest: SipHash.Digest) -> String {
    words(digest).map { word in
      (0..<8).map { index in
        let byte = UInt8(truncatingIfNeeded: word >> UInt64(index * 8))
        return (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }.joined()
    }.joined()
  }

  private func words(_ digest: SipHash.Digest) -> [UInt64] { [digest.low, digest.high] }

  /// The algorithm of the paper, byte by byte, on an array of words.
  private func plain13(_ bytes: [UInt8], _ secret: HashKey) -> [UInt64] {
    var v: [UInt64] = [
      secret.low ^ 0x736f_6d65_7073_6575, secret.high ^ 0x646f_7261_6e64_6f6d ^ 0xee,
      secret.low ^ 0x6c79_6765_6e65_7261, secret.high ^ 0x7465_6462_7974_6573,
    ]
    func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 { word << bits | word >> (64 - bits) }
    func half(_ a: Int, _ b: Int, _ bits: UInt64) {
      v[a] &+= v[b]
      v[b] = rotate(v[b], bits) ^ v[a]
    }
    func round() {
      half(0, 1, 13)
      v[0] = rotate(v[0], 32)
      half(2, 3, 16)
      half(0, 3, 21)
      half(2, 1, 17)
      v[2] = rotate(v[2], 32)
    }
    var padded = bytes
    while padded.count % 8 != 7 { padded.append(0) }
    padded.append(UInt8(truncatingIfNeeded: bytes.count))
    for first in stride(from: 0, to: padded.count, by: 8) {
      let word = (0..<8).reduce(UInt64(0)) { $0 | UInt64(padded[first + $1]) << UInt64($1 * 8) }
      v[3] ^= word
      round()
      v[0] ^= word
    }
    v[2] ^= 0xee
    for _ in 0..<3 { round() }
    let low = v.reduce(0, ^)
    v[1] ^= 0xdd
    for _ in 0..<3 { round() }
    return [low, v.reduce(0, ^)]
  }
}
