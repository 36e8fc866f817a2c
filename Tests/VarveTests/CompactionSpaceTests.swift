import Synchronization
import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Space that compaction could win, and whoever waits for it.
@Suite(.serialized) struct CompactionSpaceTests {
  private static func value(_ seed: UInt64) -> [UInt8] {
    var random = SeededGenerator(seed: seed)
    return random.bytes(3000)
  }

  private func openStore(_ gate: IdleGate, _ device: GateDevice) async throws -> Store {
    var options = TestingStore.options
    options.compactsWhenIdle = false
    return try await gate.openStore(device, options: options)
  }

  private func emptyDevice() async throws -> GateDevice {
    GateDevice(try await API.formatted(byteCount: 2 << 20, segmentByteCount: 32 << 10).image)
  }

  /// Writes records each of which is soon alone in its segment.
  private func scatter(_ keys: [String], in store: Store) async throws {
    for key in keys {
      try await store.put(key, Self.value(1))
      for _ in 0..<4 { try await store.put("filler", Self.value(2)) }
    }
    for _ in 0..<6 { try await store.put("filler", Self.value(2)) }
  }

  /// Sealed segments of which next to nothing is live.
  private func emptyish(_ store: Store) -> [SegmentInfo] {
    store.segments.filter {
      $0.state == .sealed && $0.stream != .checkpoint
        && ($0.liveRecordCount ?? 0) + ($0.liveTombstoneCount ?? 0) <= 1
    }
  }

  /// What dies in an output before it is sealed is a hole like any other.
  @Test func anOutputThatWasHalfDeadWhenItWasSealedIsCompacted() async throws {
    let (gate, device) = (IdleGate(), try await emptyDevice())
    let store = try await openStore(gate, device)
    try await scatter(["a", "b", "c", "d"], in: store)
    try await store.compact()
    #expect(store.statistics.relocatedRecordCount >= 4)
    // Four of the five records that the output has room for.
    for key in ["a", "b", "c", "d"] { try await store.put(key, Self.value(3)) }
    try await scatter(["e", "f"], in: store)
    try await store.compact()
    for _ in 0..<3 { try await store.compact() }
    #expect(emptyish(store).isEmpty, "compact() leaves segments that hold one record of five")
    gate.open()
    try await store.close()
  }

  /// "A segment in which nothing is live is freed at once."
  @Test func anOutputThatWasDeadWhenItWasSealedIsFreed() async throws {
    let (gate, device) = (IdleGate(), try await emptyDevice())
    let store = try await openStore(gate, device)
    try await scatter(["a", "b", "c", "d"], in: store)
    try await store.compact()
    for key in ["a", "b", "c", "d"] { try await store.put(key, Self.value(3)) }
    try await scatter(["e", "f"], in: store)
    let geometry = store.core.geometry
    device.install { [weak store] request in
      guard request.operation == .write, let store,
        let segment = geometry.segment(
          containing: PageIndex(request.byteOffset / UInt64(Limits.pageByteCount))),
        segment.rawValue < UInt32(store.core.segments.count)
      else { return .pass }
      let info = store.segments[Int(segment.rawValue)]
      return info.state == .open && info.stream == .relocation1 ? .hold : .pass
    }
    async let compaction: Void = store.compact()
    await API.until { device.heldCount > 0 }
    for key in ["e", "f"] { try await store.put(key, Self.value(3)) }
    device.release()
    try await compaction
    for _ in 0..<3 { try await store.compact() }
    let dead = store.segments.filter {
      $0.state == .sealed && $0.stream == .relocation1 && $0.liveRecordCount == 0
        && $0.liveTombstoneCount == 0
    }
    #expect(dead.isEmpty, "segments in which nothing is live are not freed: \(dead)")
    gate.open()
    try await store.close()
  }

  /// "Full on put": at a full store a put is refused; it does not wait for ever.
  @Test func aPutOfAFullStoreIsRefusedWhenALookForWhatHasExpiredFindsNothing() async throws {
    let setup = try await ExpiringStore()
    let store = setup.store
    try await store.put("expires", Self.value(1), expiry: .after(.seconds(86_400)))
    var number = 0
    while await API.code({ try await store.put("key \(number)", Self.value(1)) }) == nil {
      number += 1
    }
    // The log goes on in the reserve.
    try await store.delete("key 0")
    for round in 0..<1 {
      // The look for what has expired comes to its end.
      try await Task.sleep(nanoseconds: 50_000_000)
      setup.clocks.advance(milliseconds: 2_000)
      let outcome = Mutex<StoreError.Code??>(nil)
      let put = Task {
        let code = await API.code { try await store.put("one more", Self.value(1)) }
        outcome.withLock { $0 = .some(code) }
      }
      await API.until { outcome.withLock { $0 != nil } }
      #expect(outcome.withLock { $0 } == .some(.full), "round \(round)")
      put.cancel()
      await put.value
    }
    try await store.close()
  }

  /// Whoever waits for a compaction that is held to so many bytes a second wakes nobody meanwhile.
  @Test func aCompactionThatWaitsForItsRateSleeps() async throws {
    let device = try await emptyDevice()
    let (stop, lookCount) = (StopFlag(), SharedCount())
    var environment = StoreEnvironment()
    environment.sleep = { _ in
      while !stop.isSet { try? await Task.sleep(nanoseconds: 1_000_000) }
    }
    environment.monotonicNanoseconds = {
      lookCount.add(1)
      return 77
    }
    var options = TestingStore.options
    options.compactsWhenIdle = false
    options.compactionBytesPerSecond = 1 << 20
    let store = try await Store.open(device: device, options: options, environment: environment)
    try await scatter(["a", "b", "c", "d"], in: store)
    let compaction = Task { try? await store.compact() }
    await API.until { store.statistics.relocatedRecordCount > 0 }
    let before = lookCount.value
    try await Task.sleep(nanoseconds: 300_000_000)
    #expect(lookCount.value - before < 100, "the maintenance task spins")
    stop.set()
    try await store.close()
    await compaction.value
  }
}
