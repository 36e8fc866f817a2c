import Foundation
import KeyLoad
import Measuring
import Testing

@Suite struct RecordSourceTests {
  @Test("Keys differ, have 16 bytes, and are in no order")
  func keys() {
    var records = RecordSource(seed: 1)
    var keys: [[UInt8]] = []
    for number in 0..<10_000 as Range<UInt64> {
      records.setKey(number)
      keys.append(records.key)
    }
    #expect(Set(keys).count == keys.count)
    #expect(keys.allSatisfy { $0.count == LoadPlan.keyByteCount })
    let rises = zip(keys, keys.dropFirst()).count { $0.lexicographicallyPrecedes($1) }
    #expect((4_500...5_500).contains(rises))
  }

  @Test("A value is its key's own, and is known as that")
  func values() {
    var records = RecordSource(seed: 2)
    var random = Random(state: 3)
    var values: Set<[UInt8]> = []
    for number in 0..<1000 as Range<UInt64> {
      let window = records.setValue(number, &random)
      #expect(window.count == LoadPlan.valueByteCount)
      let value = Array(records.pool[window])
      let judged = [
        RecordSource.isValue(value.span.bytes, of: number),
        RecordSource.isValue(value.span.bytes, of: number + 1),
        RecordSource.isValue(value.span.bytes.extracting(droppingLast: 1), of: number),
      ]
      #expect(judged == [true, false, false])
      values.insert(value)
    }
    #expect(values.count == 1000)
  }

  /// A compressor finds repetitions of four bytes and more, or uneven bytes.
  @Test("A value does not compress")
  func incompressible() {
    var records = RecordSource(seed: 4)
    var random = Random(state: 5)
    var byteCounts = [Int](repeating: 0, count: 256)
    for number in 0..<256 as Range<UInt64> {
      let value = Array(records.pool[records.setValue(number &* 0x9e37_79b9_7f4a_7c15, &random)])
      let words = (0..<value.count - 3).map { Array(value[$0..<$0 + 4]) }
      #expect(words.count - Set(words).count <= 2)
      for byte in value { byteCounts[Int(byte)] += 1 }
    }
    #expect(byteCounts.allSatisfy { (700...1350).contains($0) })
  }
}
