import Dispatch
import Foundation
import Glibc
import Synchronization
import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Freed segments are discarded, where the options ask for it and the device takes it.
@Suite struct SegmentDiscardTests {
  private static func options(_ log: CapturedLog = CapturedLog()) -> StoreOptions {
    var options = TestingStore.options
    options.compression = false
    options.discard = true
    options.logger = log.logger
    return options
  }

  /// Overwrites keys at random, so that segments are freed again and again.
  private func overwrite(
    _ store: Store, _ count: Int, seed: UInt64
  ) async throws -> [String: [UInt8]] {
    var random = SeededGenerator(seed: seed)
    var values: [String: [UInt8]] = [:]
    for _ in 0..<count {
      let key = "\(random.below(400))"
      values[key] = random.bytes(3_000)
      try await store.put(key, values[key] ?? [], durability: .buffered)
    }
    try await store.sync()
    return values
  }

  private func contents(_ store: Store) async throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    for try await record in store.records {
      found[String(decoding: record.key, as: UTF8.self)] = record.value
    }
    return found
  }

  @Test func neighboursGoTogether() {
    func runs(_ numbers: [UInt32], _ limit: Int) -> [Range<UInt32>] {
      SegmentDiscards.runs(of: numbers.map { SegmentIndex($0) }, atMost: limit)
    }
    #expect(runs([], 4) == [])
    #expect(runs([7, 3, 4, 9, 5, 8], 4) == [3..<6, 7..<10])
    #expect(runs([0, 1, 2, 3, 4], 2) == [0..<2, 2..<4, 4..<5])
  }

  /// While the device is about a discard, which may be for long, nothing is written there; the
  /// store goes on elsewhere, and waits once nothing else is left.
  @Test func whatIsBeingDiscardedIsNotUsed() async throws {
    let medium = try await API.formatted(segmentByteCount: 64 << 10)
    let device = DiscardGateDevice(medium.image)
    let store = try await Store.open(device: device, options: Self.options())
    device.holdDiscards()
    let writer = Task { try await overwrite(store, 8_000, seed: 3) }
    let directory = store.core.segments
    await API.until {
      let free = store.segments.filter { $0.state == .free }
      return !free.isEmpty
        && free.allSatisfy { directory.isPinned(SegmentIndex(UInt32($0.index))) }
    }
    #expect(device.discardCount == 1)
    device.releaseDiscards()
    let values = try await writer.value
    #expect(try await contents(store) == values)
    #expect(device.breachCount == 0, "a range was written while it was discarded")
    // What gathered meanwhile went together.
    #expect(device.largestDiscardByteCount > 64 << 10)
    #expect(store.statistics.discardedByteCount > 0 && store.statistics.discardFailureCount == 0)
    try await store.close()
    let reopened = try await Store.open(device: device.copy(), options: Self.options())
    #expect(try await contents(reopened) == values)
    try await reopened.close()
  }

  @Test func onlyWhatIsFreeIsDiscarded() async throws {
    let medium = try await API.formatted(segmentByteCount: 64 << 10)
    let device = DiscardGateDevice(medium.image)
    let store = try await Store.open(device: device, options: Self.options())
    let values = try await overwrite(store, 4_000, seed: 4)
    try await store.compact()
    let statistics = store.statistics
    try await store.close()
    // Closing waits for what is under way. Checkpoints and unused segments are freed there, too.
    #expect(device.discardedByteCount >= statistics.freedSegmentCount * 64 << 10)
    // What was discarded reads as zeros here, so nothing that counts was.
    let reopened = try await Store.open(device: device.copy(), options: TestingStore.options)
    #expect(reopened.recoveryReport.outcome == .clean)
    #expect(try await contents(reopened) == values)
    try await reopened.close()
  }

  @Test func aFailureIsToldOnceAndEndsIt() async throws {
    let device = SimulatedDevice(
      image: try await Harness.formatted(), faults: FaultPlan(), seed: 1,
      delivery: .background)
    device.install(discards: .failure(errorNumber: EIO))
    let log = CapturedLog()
    let store = try await Store.open(device: device, options: Self.options(log))
    var values = try await overwriteLittle(store, seed: 5)
    try await store.compact()
    await API.until { store.statistics.discardFailureCount > 0 }
    values.merge(try await overwriteLittle(store, seed: 6)) { $1 }
    try await store.compact()
    #expect(try await contents(store) == values)
    #expect(store.health == .healthy)
    let statistics = store.statistics
    try await store.close()
    #expect(statistics.discardFailureCount == 1 && statistics.discardedByteCount == 0)
    #expect(log.text.components(separatedBy: "a discard failed").count == 2)
  }

  @Test func nothingIsDiscardedUnlessBothWantIt() async throws {
    for (discard, outcome) in [(false, DiscardOutcome.zeros), (true, nil)] {
      let device = SimulatedDevice(
        image: try await Harness.formatted(), faults: FaultPlan(), seed: 1, delivery: .background)
      device.install(discards: outcome)
      let log = CapturedLog()
      var options = Self.options(log)
      options.discard = discard
      let store = try await Store.open(device: device, options: options)
      _ = try await overwriteLittle(store, seed: 7)
      try await store.compact()
      #expect(store.statistics.freedSegmentCount > 0)
      try await store.close()
      let statistics = store.statistics
      #expect(statistics.discardedByteCount == 0 && statistics.discardFailureCount == 0)
      #expect(log.text.contains("are not discarded") == discard)
    }
  }

  /// Fewer keys, for a store of 2 MiB.
  private func overwriteLittle(_ store: Store, seed: UInt64) async throws -> [String: [UInt8]] {
    var random = SeededGenerator(seed: seed)
    var values: [String: [UInt8]] = [:]
    for _ in 0..<300 {
      let key = "\(random.below(40))"
      values[key] = random.bytes(3_000)
      try await store.put(key, values[key] ?? [], durability: .buffered)
    }
    try await store.sync()
    return values
  }
}

/// A device in memory that can be made to keep its discards for long. What it discards reads as
/// zeros.
private final class DiscardGateDevice: BlockDevice {
  private struct State {
    var isHolding = false
    var current: Range<UInt64>?
    var discardCount = 0
    var discardedByteCount: UInt64 = 0
    var largestByteCount = 0
    var breachCount = 0
  }

  private let base: RAMDevice
  private let state = Mutex(State())
  private let gate = DispatchSemaphore(value: 0)

  init(_ image: SparseImage) { base = RAMDevice(image: image, delivery: .background) }

  var byteCount: UInt64 { base.byteCount }
  var discardGranularityByteCount: Int? { 4096 }
  var discardCount: Int { state.withLock { $0.discardCount } }
  var discardedByteCount: UInt64 { state.withLock { $0.discardedByteCount } }
  var largestDiscardByteCount: Int { state.withLock { $0.largestByteCount } }
  /// Writes to what is being discarded.
  var breachCount: Int { state.withLock { $0.breachCount } }

  func copy() -> RAMDevice { base.copy() }

  func submit(_ request: IORequest) {
    state.withLock { state in
      let range = request.byteOffset..<request.byteOffset + UInt64(request.byteCount)
      if request.operation == .write, state.current?.overlaps(range) == true {
        state.breachCount += 1
      }
    }
    base.submit(request)
  }

  func discard(_ range: Range<UInt64>) throws(DeviceError) {
    let isHeld = state.withLock { state in
      state.current = range
      state.discardCount += 1
      state.discardedByteCount += UInt64(range.count)
      state.largestByteCount = max(state.largestByteCount, range.count)
      return state.isHolding
    }
    if isHeld { gate.wait() }
    base.overwrite([UInt8](repeating: 0, count: range.count), at: range.lowerBound)
    state.withLock { $0.current = nil }
  }

  func holdDiscards() { state.withLock { $0.isHolding = true } }

  /// Lets the one go that is held, and those that follow.
  func releaseDiscards() {
    state.withLock { $0.isHolding = false }
    gate.signal()
  }

  func close() { base.close() }
}
