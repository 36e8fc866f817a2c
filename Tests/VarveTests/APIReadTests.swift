import Testing
import Varve
import VarveIO
import VarveTesting

/// Reads: of many keys, of all keys while they change, cancelled ones; and what statistics say.
@Suite struct APIReadTests {
  /// A store that was filled, closed and reopened, so that reads come from the device.
  private func reopened(
    keyCount: Int, valueByteCount: Int = 100, cacheEnabled: Bool = true
  ) async throws -> (Store, HoldingDevice) {
    let first = try await TestingStore()
    for number in 0..<keyCount {
      try await first.store.put(
        "\(number)", [UInt8](repeating: UInt8(number % 256), count: valueByteCount),
        durability: .buffered)
    }
    try await first.store.close()
    let device = HoldingDevice(first.device.copy())
    var options = TestingStore.options
    options.cacheEnabled = cacheEnabled
    return (try await Store.open(device: device, options: options), device)
  }

  @Test func manyKeysAtOnce() async throws {
    let (store, device) = try await reopened(keyCount: 1000)
    let readCountOfOpen = device.count(.read)
    let keys = (0..<1000).map { "\($0)" }
    let values = try await store.multiGet(keys)
    #expect(values.map { $0?.value.first } == (0..<1000).map { UInt8($0 % 256) })
    #expect(device.count(.read) - readCountOfOpen <= 1000)
    let sequences = values.compactMap { $0?.sequence }
    #expect(sequences == Array(sequences[0]..<sequences[0] + 1000))
    // Duplicates, absent keys, and what is only in the write buffer.
    try await store.put("new", "1", durability: .buffered)
    let mixed = try await store.multiGet(["5", "absent", "5", "new", "", "6", "5"])
    #expect(mixed.map { $0?.value.first } == [5, nil, 5, 0x31, nil, 6, 5])
    #expect(try await store.multiGet([[UInt8]]()).isEmpty)
    try await store.close()
  }

  @Test func allReadsOfAMultiGetAreInFlightTogether() async throws {
    let (store, device) = try await reopened(
      keyCount: 64, valueByteCount: 5000, cacheEnabled: false)
    device.hold([.read])
    let task = Task { try await store.multiGet((0..<64).map { "\($0)" } + ["7", "7"]) }
    // Held back together, the duplicates once.
    await API.until { device.heldCount == 64 }
    device.release()
    #expect(try await task.value.allSatisfy { $0?.value.count == 5000 })
    #expect(store.statistics.sharedReadCount == 2)
    try await store.close()
  }

  @Test func missesOfOneKeyShareARead() async throws {
    let (store, device) = try await reopened(keyCount: 10)
    device.hold([.read])
    let tasks = (0..<16).map { _ in Task { try await store.get("3") } }
    await API.until { store.statistics.sharedReadCount == 15 }
    #expect(device.heldCount == 1)
    device.release()
    for task in tasks { #expect(try await task.value?.value.count == 100) }
    #expect(store.statistics.deviceReadCount == 1)
    _ = try await store.get("3")
    #expect(store.statistics.cacheHitCount == 1)
    try await store.close()
  }

  @Test func aCancelledReadReturnsAtOnce() async throws {
    let (store, device) = try await reopened(keyCount: 200, valueByteCount: 3000)
    device.hold([.read])
    let get = Task { try await store.get("3") }
    let other = Task { try await store.get("3") }
    let multiGet = Task { try await store.multiGet(["3", "100"]) }
    let iteration = Task {
      var count = 0
      for try await _ in store.records { count += 1 }
      return count
    }
    await API.until { device.heldCount >= 2 && store.statistics.sharedReadCount >= 2 }
    get.cancel()
    multiGet.cancel()
    iteration.cancel()
    // The device still holds the reads.
    #expect(await API.code { _ = try await get.value } == .cancelled)
    #expect(await API.code { _ = try await multiGet.value } == .cancelled)
    #expect(await API.code { _ = try await iteration.value } == .cancelled)
    device.release()
    // Whoever shares the read and was not cancelled gets its value.
    #expect(try await other.value?.value.count == 3000)
    #expect(try await store.get("3")?.value.count == 3000)
    try await store.close()
  }

  @Test func aWriteHonoursCancellationBeforeItIsQueued() async throws {
    let (store, device) = try await reopened(keyCount: 1)
    let before = store.statistics.lastSequence
    func cancelled(
      _ body: @escaping @Sendable () async throws -> Void
    ) async -> StoreError.Code? {
      await API.code {
        try await Task {
          withUnsafeCurrentTask { $0?.cancel() }
          try await body()
        }.value
      }
    }
    #expect(await cancelled { try await store.put("a", "1") } == .cancelled)
    #expect(await cancelled { try await store.delete("0") } == .cancelled)
    #expect(
      await cancelled { _ = try await store.put("a", "1", condition: .ifAbsent) } == .cancelled)
    #expect(
      await cancelled {
        var batch = Batch()
        batch.put("a", "1")
        _ = try await store.write(batch)
      } == .cancelled)
    #expect(store.statistics.lastSequence == before)
    #expect(try await store.get("a") == nil)
    // Once it is queued it is finished.
    device.hold([.write, .flush])
    let task = Task { try await store.put("a", "1") }
    await API.until { store.statistics.lastSequence == before + 1 }
    task.cancel()
    device.release()
    #expect(try await task.value == before + 1)
    #expect(store.statistics.durableSequence >= before + 1)
    try await store.close()
  }

  @Test func iterationMeetsEachKeyOnceWhileOthersWrite() async throws {
    let store = try await TestingStore(byteCount: 16 << 20, segmentByteCount: 64 << 10).store
    for number in 0..<1500 {
      try await store.put(
        "stable \(number)", [UInt8](repeating: 1, count: number % 7 * 300), durability: .buffered)
    }
    for number in 0..<300 { try await store.put("gone \(number)", "1", durability: .buffered) }
    let stop = StopFlag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for client in 0..<3 as Range<UInt64> {
        group.addTask {
          var random = SeededGenerator(seed: 77 + client)
          while !stop.isSet {
            let number = random.below(1500)
            try await store.put(
              "stable \(number)", [UInt8](repeating: 2, count: random.below(2000)),
              durability: .buffered)
            if random.once(in: 2) {
              try await store.delete("gone \(random.below(300))", durability: .buffered)
            } else {
              try await store.put("gone \(random.below(300))", "2", durability: .buffered)
            }
          }
        }
      }
      for _ in 0..<4 {
        var met: [[UInt8]: Int] = [:]
        for try await record in store.records { met[record.key, default: 0] += 1 }
        #expect(met.values.allSatisfy { $0 == 1 })
        let stable = met.keys.filter { $0.starts(with: API.bytes("stable")) }
        #expect(stable.count == 1500)
      }
      stop.set()
      try await group.waitForAll()
    }
    try await store.close()
  }

  @Test func statisticsAddUp() async throws {
    let testing = try await TestingStore()
    let store = testing.store
    #expect(store.statistics.keyCount == 0)
    #expect(store.statistics.writeAmplification == 0)
    for number in 0..<100 { try await store.put("\(number)", [UInt8](repeating: 1, count: 98)) }
    for number in 0..<10 { try await store.delete("\(number)") }
    var batch = Batch()
    batch.put("x", "1")
    #expect(try await store.write(batch).isApplied)
    for number in 0..<20 { _ = try await store.get("\(number)") }
    var statistics = store.statistics
    // Not while a watermark is being counted.
    await API.until {
      statistics = store.statistics
      return statistics.frameByteCount == statistics.frameCount * 4096
    }
    #expect(statistics.keyCount == 91)
    #expect(statistics.tombstoneCount == 10)
    #expect(statistics.putCount == 100 && statistics.deleteCount == 10)
    #expect(statistics.batchCount == 1 && statistics.getCount == 20)
    #expect(statistics.userByteCount == 10 * 99 + 90 * 100 + 10 + 2)
    #expect(statistics.lastSequence == statistics.durableSequence)
    #expect(statistics.flushCount > 0 && statistics.frameCount >= statistics.flushCount)
    #expect(statistics.paddingByteCount < statistics.frameByteCount)
    #expect(statistics.writeAmplification > 1)
    #expect(statistics.indexBytesPerKey > 0)
    #expect(statistics.memoryBudget == 8 << 20)
    #expect(
      statistics.indexByteCount + statistics.cacheByteCount + statistics.bufferByteCount
        + statistics.readByteCount <= statistics.memoryBudget)
    #expect(statistics.freeSegmentCount < statistics.segmentCount)
    #expect(statistics.reservedSegmentCount < statistics.freeSegmentCount)
    #expect(statistics.slowRequestCount == 0 && statistics.corruptReadCount == 0)
    try await store.checkpoint()
    statistics = store.statistics
    #expect(statistics.checkpointByteCount > 0 && statistics.metadataByteCount > 0)
    let later = try await testing.reopened().store
    #expect(later.recoveryReport.outcome == .clean)
    #expect(later.statistics.keyCount == 91)
    #expect(later.statistics.putCount == 0)
    try await later.close()
  }
}
