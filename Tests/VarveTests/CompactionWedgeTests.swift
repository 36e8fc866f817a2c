import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// A full store: deletes, compaction, opens and kills still work, and space comes back.
@Suite(.serialized) struct CompactionWedgeTests {
  @Test(arguments: zip([[3000], [3000, 9000, 500]], [0, 7]))
  func everythingCanBeDeletedFromAFullStore(byteCounts: [Int], crashInterval: Int) async throws {
    var random = SeededGenerator(seed: UInt64(byteCounts[0] + crashInterval))
    var medium = try await API.formatted(byteCount: 2 << 20, segmentByteCount: 32 << 10)
    var options = TestingStore.options
    options.compression = false
    var store = try await Store.open(device: medium, options: options)
    var keys: [String] = []
    while true {
      let key = "key \(keys.count)"
      let value = random.bytes(byteCounts[keys.count % byteCounts.count])
      guard await API.code({ try await store.put(key, value) }) == nil else { break }
      keys.append(key)
    }
    keys.shuffle(using: &random)
    var deletedCount = 0
    while let key = keys.popLast() {
      let target = store
      if let code = await API.code({ try await target.delete(key) }) {
        let free = store.statistics.freeSegmentCount
        let stuck = try #require(store.core.maintenance).compactor.isStuck
        Issue.record(
          "delete \(deletedCount): \(code), \(free) free, stuck \(stuck), \(keys.count) left")
        break
      }
      deletedCount += 1
      guard crashInterval > 0, deletedCount % crashInterval == 0 else { continue }
      let image = medium.image
      try await store.close()
      medium = RAMDevice(image: image, delivery: .background)
      store = try await Store.open(device: medium, options: options)
    }
    try await store.close()
  }

  /// "EIO on write: rewrite the same records elsewhere"; deletes of a full store still work.
  @Test(arguments: [false, true])
  func aFailedCopyIntoTheLastSegmentButOneLeavesAWayOut(fails: Bool) async throws {
    var random = SeededGenerator(seed: 5)
    let device = GateDevice(
      try await API.formatted(byteCount: 20 << 20, segmentByteCount: 512 << 10).image)
    var options = TestingStore.options
    options.compression = false
    let store = try await Store.open(device: device, options: options)
    var keys: [String] = []
    let value = random.bytes(3000)
    while await API.code({ try await store.put("key \(keys.count)", value) }) == nil {
      keys.append("key \(keys.count)")
    }
    keys.shuffle(using: &random)
    let (geometry, copyCount) = (store.core.geometry, SharedCount())
    device.install { [weak store] request in
      guard request.operation == .write, let store, let maintenance = store.core.maintenance,
        let segment = geometry.segment(
          containing: PageIndex(request.byteOffset / UInt64(Limits.pageByteCount))),
        segment.rawValue < UInt32(store.core.segments.count)
      else { return .pass }
      let info = store.segments[Int(segment.rawValue)]
      guard info.state == .open, info.stream == .relocation1 || info.stream == .relocation2,
        maintenance.ledger.freeSegmentCount <= 1
      else { return .pass }
      // Some copies have found their place, and one fails.
      return copyCount.add(1) == 4 && fails ? .fail : .pass
    }
    for (number, key) in keys.enumerated() {
      if let code = await API.code({ try await store.delete(key) }) {
        let stuck = try #require(store.core.maintenance).compactor.isStuck
        Issue.record(
          """
          delete \(number) of \(keys.count): \(code), \(store.statistics.freeSegmentCount) \
          free, stuck \(stuck), \(copyCount.value) copies
          """)
        break
      }
    }
    #expect(copyCount.value >= 4, "no copy has failed")
    try await store.close()
    let left = RAMDevice(image: device.medium.image, delivery: .background)
    let reopened = try await Store.open(device: left, options: options)
    try await reopened.compact()
    let last = keys[keys.count - 1]
    #expect(await API.code { try await reopened.delete(last) } == nil, "after an open")
    try await reopened.close()
  }
}
