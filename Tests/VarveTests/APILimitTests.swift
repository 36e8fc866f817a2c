import Foundation
import Testing
import VarveFormat
import VarveIO
import VarveTesting

@testable import Varve

/// What is refused for its size, and that it is refused before any I/O.
@Suite struct APILimitTests {
  /// The device withholds every completion, so a call that waited for I/O would never return.
  private func refuses(
    _ store: Store, _ device: HoldingDevice, with code: StoreError.Code = .tooLarge,
    _ body: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
  ) async {
    let before = store.statistics
    device.hold([.read, .write, .writeDurably, .flush])
    #expect(await API.code(body) == code, sourceLocation: sourceLocation)
    device.release()
    let after = store.statistics
    #expect(after.lastSequence == before.lastSequence, sourceLocation: sourceLocation)
    #expect(after.putCount == before.putCount, sourceLocation: sourceLocation)
    #expect(after.keyCount == before.keyCount, sourceLocation: sourceLocation)
  }

  private func opened(
    _ options: StoreOptions = TestingStore.options, byteCount: UInt64 = 8 << 20,
    segmentByteCount: Int? = nil
  ) async throws -> (Store, HoldingDevice) {
    let device = HoldingDevice(
      try await API.formatted(byteCount: byteCount, segmentByteCount: segmentByteCount))
    return (try await Store.open(device: device, options: options), device)
  }

  @Test func keysFromOneToFourThousandAndNinetySixBytes() async throws {
    let (store, device) = try await opened()
    for byteCount in [1, 2, 4095, 4096] {
      let key = [UInt8](repeating: UInt8(byteCount % 251), count: byteCount)
      try await store.put(key, [1])
      #expect(try await store.get(key)?.value == [1])
      #expect(try await store.delete(key, durability: .buffered) != nil)
      #expect(try await store.put(key, [2], condition: .ifAbsent).isApplied)
    }
    for byteCount in [0, 4097, 100_000] {
      let key = [UInt8](repeating: 1, count: byteCount)
      await refuses(store, device) { try await store.put(key, [1]) }
      await refuses(store, device) { try await store.delete(key) }
      await refuses(store, device) { _ = try await store.put(key, [1], condition: .ifAbsent) }
      await refuses(store, device) { try await store.update(key) { _ in .put([]) } }
      var batch = Batch()
      batch.put("fine", "1")
      batch.put(key, [1])
      await refuses(store, device) { _ = try await store.write(batch) }
      #expect(try await store.get(key) == nil, "no store holds it")
      #expect(try await store.contains(key) == false)
    }
    #expect(try await store.get("fine") == nil)
    try await store.close()
  }

  @Test(arguments: [false, true], [32 << 10, 64 << 10])
  func valuesUpToTheMaximum(compression: Bool, segmentByteCount: Int) async throws {
    var options = TestingStore.options
    options.compression = compression
    let (store, device) = try await opened(options, segmentByteCount: segmentByteCount)
    let maximum = store.maximumValueByteCount
    #expect(maximum > segmentByteCount / 4 && maximum < segmentByteCount)
    var random = SeededGenerator(seed: 5)
    let noise = (0..<maximum + 1).map { _ in UInt8(random.below(256)) }
    let zeros = [UInt8](repeating: 0, count: maximum + 1)
    for key in [[7], [UInt8](repeating: 7, count: 4096)] {
      for source in [noise, zeros] {
        for byteCount in [0, 1, maximum - 1, maximum] {
          let value = Array(source.prefix(byteCount))
          try await store.put(key, value)
          #expect(try await store.get(key)?.value == value)
        }
        await refuses(store, device) { try await store.put(key, source) }
        await refuses(store, device) {
          _ = try await store.put(key, source, condition: .ifSequence(1))
        }
        #expect(try await store.get(key)?.value.count == maximum)
      }
    }
    let later = try await Store.open(device: device.base.copy(), options: options)
    #expect(try await later.get([7])?.value == Array(zeros.dropLast()))
    try await later.close()
    try await store.close()
  }

  @Test func batchesUpToTheirBounds() async throws {
    var options = TestingStore.options
    options.memoryBudget = 64 << 20
    let (store, device) = try await opened(
      options, byteCount: 1 << 30, segmentByteCount: 16 << 20)
    var many = Batch()
    for number in 0..<65_536 { many.put("\(number)", "") }
    let before = store.statistics.lastSequence
    #expect(try await store.write(many) == .applied(lastSequence: before + 65_536))
    #expect(store.statistics.keyCount == 65_536)
    many.delete("0")
    await refuses(store, device) { _ = try await store.write(many) }
    // 8 MiB of keys and values, exactly, and one byte more.
    var large = Batch()
    for number in 0..<8 as Range<UInt8> {
      large.put([number], [UInt8](repeating: number, count: (1 << 20) - 1))
    }
    #expect(try await store.write(large).isApplied)
    large.put([9], [])
    await refuses(store, device) { _ = try await store.write(large) }
    #expect(try await store.get([9]) == nil)
    #expect(try await store.get([7])?.value.count == (1 << 20) - 1)
    try await store.close()
  }

  @Test func aBatchIsAtMostHalfASegment() async throws {
    let (store, device) = try await opened(segmentByteCount: 64 << 10)
    var batch = Batch()
    for number in 0..<8 as Range<UInt8> {
      batch.put([number], [UInt8](repeating: number, count: 4095))
    }
    #expect(try await store.write(batch).isApplied)
    batch.put([9], [])
    await refuses(store, device) { _ = try await store.write(batch) }
    try await store.close()
  }

  @Test func aBudgetThatIsTooSmall() async throws {
    let device = try await API.formatted()
    var options = TestingStore.options
    options.memoryBudget = (8 << 20) - 1
    await #expect(throws: StoreError.self) {
      try await Store.open(device: device, options: options)
    }
    let copy = device.copy()
    #expect(
      await API.code { _ = try await Store.open(device: copy, options: options) } == .resource)
  }

  @Test func aFullIndexRefusesKeysButTakesOverwritesAndDeletes() async throws {
    let (store, device) = try await opened(byteCount: 128 << 20)
    var keyCount = 0
    var failure: StoreError.Code?
    while failure == nil, keyCount < 1_000_000 {
      var batch = Batch()
      for number in keyCount..<keyCount + 1000 { batch.put("\(number)", "") }
      failure = await API.code { _ = try await store.write(batch, durability: .buffered) }
      if failure == nil { keyCount += 1000 }
    }
    #expect(failure == .resource)
    #expect(keyCount > 100_000, "8 MiB hold more keys than that")
    #expect(store.statistics.keyCount == keyCount, "nothing of the last batch")
    #expect(store.statistics.indexByteCount <= 8 << 20)
    try await store.sync()
    // One by one until no shard takes another.
    var refusedCount = 0
    for number in 0..<2000 {
      let key = "new \(number)"
      let code = await API.code { try await store.put(key, "", durability: .buffered) }
      if code == .resource {
        refusedCount += 1
        if refusedCount == 1 {
          await refuses(store, device, with: .resource) { try await store.put(key, "") }
        }
        #expect(try await store.get(key) == nil)
      } else {
        #expect(code == nil)
      }
    }
    #expect(refusedCount > 0)
    try await store.put("1", "again")
    #expect(try await store.delete("2") != nil)
    #expect(try await store.get("1")?.value == API.bytes("again"))
    // What ran within the budget reopens within it.
    let count = store.statistics.keyCount
    try await store.close()
    let later = try await Store.open(
      device: device.base.copy(), options: TestingStore.options)
    #expect(later.statistics.keyCount == count)
    try await later.close()
  }

  /// The refusal at open names a budget that suffices.
  @Test func recoveryThatDoesNotFitNamesWhatWould() throws {
    let key = HashKey(low: 1, high: 2)
    func fill(_ index: inout RecoveredIndex, _ count: Int) throws(StoreError) {
      for number in 0..<UInt64(count) {
        var word = number
        // SAFETY: the span lives as long as the word.
        let hash = withUnsafeBytes(of: &word) { bytes in
          KeyHash(of: RawSpan(_unsafeBytes: bytes), keyedBy: key)
        }
        let location = RecordLocation(rawValue: (number + 1) << 20)
        try index.apply(hash, location)
      }
    }
    var small = RecoveredIndex(byteLimit: 256 << 10, shardCount: 4)
    var failure: StoreError?
    do { try fill(&small, 100_000) } catch { failure = error }
    #expect(failure?.code == .resource)
    let numbers = failure?.message.split(separator: " ").compactMap { Int($0) } ?? []
    let needed: Int = try #require(numbers.last)
    let plan = try MemoryPlan(budget: needed, segmentCount: 64)
    #expect(plan.indexByteLimit > 256 << 10)
    var larger = RecoveredIndex(byteLimit: plan.indexByteLimit, shardCount: plan.shardCount)
    try fill(&larger, small.recordCount + 1)
  }

  @Test func theDefaultBudgetKeepsToTheControlGroup() throws {
    let root = FileManager.default.temporaryDirectory.path + "/varve-budget-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (limit, budget) in [(1 << 20, 8 << 20), (64 << 20, 16 << 20)] {
      for (path, text) in [
        ("/proc/self/cgroup", "0::/a.slice\n"), ("/sys/fs/cgroup/a.slice/memory.max", "\(limit)\n"),
      ] {
        let file = URL(filePath: root + path)
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: file, atomically: false, encoding: .utf8)
      }
      #expect(MemoryPlan.defaultBudget(root: root) == budget)
    }
  }

  @Test("A small index takes what README and DESIGN say", arguments: [(1000, 0.3), (10_000, 0.6)])
  func smallIndex(keyCount: Int, mebibytes: Double) async throws {
    var options = TestingStore.options
    options.memoryBudget = 1 << 30
    let testing = try await TestingStore(options: options)
    for number in 0..<keyCount {
      try await testing.store.put("k\(number)", "v", durability: .buffered)
    }
    let found = Double(testing.store.statistics.indexByteCount) / Double(1 << 20)
    #expect(abs(found - mebibytes) < 0.05)
    try await testing.store.close()
  }

  @Test(arguments: [0, -1, 65, .max]) func contextsOutOfBounds(count: Int) async throws {
    // Before the path is looked at.
    let nowhere = "/var/tmp/varve-\(UInt64.random(in: 0...(.max)))"
    let options = StoreOptions(contextCount: count)
    #expect(await API.code { _ = try await Store.open(path: nowhere, options: options) } == .usage)
    #expect(
      await API.code { _ = try await Store.recoveryPlan(path: nowhere, options: options) } == .usage
    )
  }

  @Test func geometriesThatMakeNoStore() async throws {
    for (byteCount, segmentByteCount) in [
      (1 << 20, nil), (2 << 20, 33 << 10), (2 << 20, 16 << 10), (2 << 20, 128 << 10),
    ] as [(UInt64, Int?)] {
      let device = RAMDevice(byteCount: byteCount)
      let code = await API.code {
        try await Store.format(
          device: device, options: FormatOptions(segmentByteCount: segmentByteCount))
      }
      #expect(code == .usage, "\(byteCount) \(segmentByteCount ?? 0)")
      device.close()
    }
    let device = RAMDevice(byteCount: 2 << 20)
    let options = FormatOptions(label: String(repeating: "x", count: 65))
    #expect(await API.code { try await Store.format(device: device, options: options) } == .usage)
    #expect(await API.code { _ = try await Store.open(device: device) } == .refused)
  }
}
