import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Compaction under load, against a dictionary.
@Suite struct CompactionTests {
  /// What a store should hold.
  struct Model {
    var values: [Int: Int] = [:]

    static func key(_ number: Int) -> String { "key \(number)" }

    /// A value that no other version of any key has.
    static func value(_ number: Int, _ version: Int, byteCount: Int) -> [UInt8] {
      let stamp = Array("\(number)/\(version)/".utf8)
      var random = SeededGenerator(seed: UInt64(number) << 32 | UInt64(version))
      return stamp + random.bytes(max(0, byteCount - stamp.count))
    }

    func verify(_ store: Store, keyCount: Int, byteCount: Int) async throws {
      for number in 0..<keyCount {
        let found = try await store.get(Model.key(number))
        let expected = values[number].map { Model.value(number, $0, byteCount: byteCount) }
        #expect(found?.value == expected, "key \(number)")
      }
      var seen: Set<[UInt8]> = []
      for try await record in store.records { #expect(seen.insert(record.key).inserted) }
      #expect(seen.count == values.count)
    }
  }

  /// Values of one size, and how many of them a page takes.
  struct Shape: CustomTestStringConvertible {
    var byteCount: Int
    var recordsPerPage: Double
    var segmentByteCount: Int

    var testDescription: String { "\(byteCount) bytes in segments of \(segmentByteCount)" }
  }

  /// Overwrites go on for many times the device, and everything is there, before and after opens.
  @Test(arguments: [
    Shape(byteCount: 100, recordsPerPage: 25, segmentByteCount: 32 << 10),
    Shape(byteCount: 1000, recordsPerPage: 3, segmentByteCount: 32 << 10),
    Shape(byteCount: 3000, recordsPerPage: 1, segmentByteCount: 64 << 10),
    Shape(byteCount: 9000, recordsPerPage: 1 / 3, segmentByteCount: 128 << 10),
  ])
  func overwritesGoOnForEver(_ shape: Shape) async throws {
    let (byteCount, segmentByteCount) = (shape.byteCount, shape.segmentByteCount)
    let deviceByteCount = 8 << 20
    var medium = try await API.formatted(
      byteCount: UInt64(deviceByteCount), segmentByteCount: segmentByteCount)
    var store = try await Store.open(device: medium, options: TestingStore.options)
    // Half of what there is room for.
    let segmentPageCount = segmentByteCount / Limits.pageByteCount
    let payloadPageCount = (deviceByteCount / segmentByteCount - 8) * (segmentPageCount - 3)
    let keyCount = Int(Double(payloadPageCount) * shape.recordsPerPage / 2)
    var model = Model()
    var random = SeededGenerator(seed: UInt64(byteCount))
    var version = 0
    for round in 0..<2 {
      for _ in 0..<2 * deviceByteCount / (byteCount + 100) {
        let number = random.below(keyCount)
        version += 1
        if random.below(20) == 0 {
          try await store.delete(Model.key(number), durability: .buffered)
          model.values[number] = nil
        } else {
          try await store.put(
            Model.key(number).utf8Bytes,
            Model.value(number, version, byteCount: byteCount), durability: .buffered)
          model.values[number] = version
        }
      }
      try await model.verify(store, keyCount: keyCount, byteCount: byteCount)
      #expect(store.statistics.relocatedRecordCount > 0)
      if round % 2 == 0 {
        try await store.sync()
        let image = medium.image
        try await store.close()
        let copy = RAMDevice(image: image, delivery: .inline)
        let crashed = try await Store.open(device: copy, options: TestingStore.options)
        try await model.verify(crashed, keyCount: keyCount, byteCount: byteCount)
        try await crashed.close()
      } else {
        try await store.close()
      }
      medium = RAMDevice(image: medium.image, delivery: .inline)
      store = try await Store.open(device: medium, options: TestingStore.options)
      try await model.verify(store, keyCount: keyCount, byteCount: byteCount)
    }
    try await store.close()
  }
}

extension String {
  fileprivate var utf8Bytes: [UInt8] { Array(utf8) }
}
