import Testing
import VarveFormat

/// Compression of values.
@Suite struct ValueCodecTests {
  static func compress(_ value: [UInt8]) -> [UInt8]? {
    var output = [UInt8](repeating: 0, count: max(1, value.count))
    var byteCount: Int?
    output.change { span in byteCount = value.lend { ValueCodec.compress($0, into: &span) } }
    return byteCount.map { Array(output[..<$0]) }
  }

  static func decompress(_ block: [UInt8], _ byteCount: Int) throws -> [UInt8] {
    var output = [UInt8](repeating: 0, count: byteCount)
    try output.withUnsafeMutableBytes {
      var span = MutableRawSpan(_unsafeBytes: $0)
      try ValueCodec.decompress(block.span.bytes, into: &span)
    }
    return output
  }

  /// Text of words: compressible, of any length.
  static func text(_ byteCount: Int, _ random: inout Seeded) -> [UInt8] {
    let words = ["varve ", "sediment ", "layer ", "year ", "lake ", "ice "]
    var text: [UInt8] = []
    while text.count < byteCount { text += words[random.below(words.count)].utf8 }
    return Array(text[..<byteCount])
  }

  @Test func roundTrip() throws {
    let seed: UInt64 = 21
    var random = Seeded(seed)
    for round in 0..<300 {
      let value = Self.text(round < 100 ? round : random.below(60_000), &random)
      guard let block = Self.compress(value) else {
        #expect(value.count < 400, "seed \(seed): text of \(value.count) bytes must shrink")
        continue
      }
      #expect(value.count >= ValueCodec.minimumByteCount)
      #expect(block.count <= ValueCodec.worthwhileByteCount(value.count))
      #expect(try Self.decompress(block, value.count) == value)
    }
  }

  @Test func keepsWhatSavesTooLittle() {
    var random = Seeded(22)
    for byteCount in [0, 1, 63, 64, 1000, 5000] {
      #expect(Self.compress(random.bytes(byteCount)) == nil)
    }
  }

  /// Any block gives the exact count of bytes or an error; another count is an error.
  @Test func hostileBlocks() throws {
    let seed: UInt64 = 23
    var random = Seeded(seed)
    let value = Self.text(3000, &random)
    let block = try #require(Self.compress(value))
    for wrong in [1, value.count - 1, value.count + 1, 2 * value.count] {
      #expect(throws: FormatError.self) { try Self.decompress(block, wrong) }
    }
    for cut in 0..<block.count {
      #expect(throws: FormatError.self) {
        try Self.decompress(Array(block[..<cut]), value.count)
      }
    }
    var accepted = 0
    for _ in 0..<20_000 {
      var hostile = block
      if random.flip() {
        for _ in 0...random.below(4) {
          hostile[random.below(block.count)] = UInt8(random.below(256))
        }
      } else {
        hostile = random.bytes(random.below(200))
      }
      if let output = try? Self.decompress(hostile, value.count) {
        #expect(output.count == value.count)
        accepted += 1
      }
    }
    #expect(accepted < 20_000, "seed \(seed)")
    #expect(throws: FormatError.self) { try Self.decompress([], 0) }
  }
}
