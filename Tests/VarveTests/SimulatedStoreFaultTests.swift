import Glibc
import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// The rows of the fault model that concern a running store, on the simulated device.
@Suite struct SimulatedStoreFaultTests {
  private func key(_ number: Int) -> [UInt8] { Array("key-\(number)".utf8) }

  private func code(_ body: () async throws -> Void) async -> StoreError.Code? {
    do {
      try await body()
      return nil
    } catch { return (error as? StoreError)?.code }
  }

  /// What the final states of a device become, judged.
  private func judgeEnd(_ store: ObservedStore, _ device: SimulatedDevice, seed: UInt64) async {
    let history = device.history
    let last = history.events.count
    var judge = CrashJudge(seed: seed)
    await judge.judge(history, store.oracle, interval: 1, boundaries: last...last)
    #expect(judge.imageCount > 0)
  }

  /// Where the newest read of the device was, and how long.
  private func lastRead(_ device: SimulatedDevice) throws -> Range<UInt64> {
    let ranges = device.history.events.compactMap { event -> Range<UInt64>? in
      guard case .readCompleted(let byteOffset, let byteCount, _) = event else { return nil }
      return byteOffset..<byteOffset + UInt64(byteCount)
    }
    return try #require(ranges.last)
  }

  /// A store that was filled with eight records of two pages, closed and opened again, so that
  /// reads come from the device, and what it holds.
  private func reopenedStore(
    seed: UInt64
  ) async throws -> (Store, SimulatedDevice, [[UInt8]: [UInt8]]) {
    let (first, device) = try await Harness.observed(seed: seed)
    var writer = ScriptWriter(first, seed: seed)
    for number in 0..<8 { try await writer.put(number, 6000) }
    try await first.close()
    var options = Harness.options
    options.cacheEnabled = false
    let again = SimulatedDevice(
      image: device.visible, faults: FaultPlan(seed: seed), seed: seed, delivery: .background)
    return (try await Store.open(device: again, options: options), again, first.oracle.contents)
  }

  @Test(arguments: 0..<12) func aWriteThatFailsIsMadeElsewhere(occurrence: Int) async throws {
    let seed = UInt64(100 + occurrence)
    let (store, device) = try await Harness.observed(seed: seed)
    var writer = ScriptWriter(store, seed: seed)
    try await writer.put(0)
    device.install(FaultPlan(seed: seed).failing(.write, .once(occurrence)))
    for number in 0..<12 { try await writer.put(number % 5, 900) }
    #expect(store.store.health != .poisoned)
    #expect(try await Harness.contents(store.store) == store.oracle.contents)
    await judgeEnd(store, device, seed: seed)
    try await store.store.close()
  }

  @Test func writesThatFailUnderLoadLoseNothing() async throws {
    for seed in Harness.seeds(200...205) {
      let (store, device) = try await Harness.observed(seed: seed)
      device.install(
        FaultPlan(seed: seed).failing(.write, .once(3)).failing(.write, .once(4))
          .failing(.write, .once(11)))
      await withTaskGroup(of: Void.self) { group in
        for client in 0..<6 as Range<UInt64> {
          group.addTask {
            var writer = ScriptWriter(store, seed: seed &* 100 &+ client)
            // Errors are the oracle's business.
            for _ in 0..<6 {
              try? await writer.anyStep(keyCount: 5, byteCounts: [40, 900, 5000])
            }
          }
        }
      }
      await judgeEnd(store, device, seed: seed)
      try? await store.store.close()
    }
  }

  @Test(arguments: [false, true]) func aFailedFlushPoisons(losesData: Bool) async throws {
    let seed: UInt64 = losesData ? 31 : 30
    let (store, device) = try await Harness.observed(seed: seed)
    var writer = ScriptWriter(store, seed: seed)
    try await writer.put(0)
    try await writer.put(1, 40, .buffered)
    device.install(FaultPlan(seed: seed).failingFlush(at: 0, losingData: losesData))
    let value = writer.value(40)
    #expect(await code { try await store.put(key(2), value) } == .indeterminate)
    #expect(store.store.health == .poisoned)
    for durability in Durability.allCases {
      #expect(
        await code { try await store.put(key(3), value, durability: durability) } == .poisoned)
    }
    #expect(await code { try await store.delete(key(0)) } == .poisoned)
    #expect(await code { try await store.sync() } == .poisoned)
    // Reads go on, and no flush was tried again.
    #expect(try await store.store.get(key(0)) != nil)
    #expect(try await store.store.get(key(1)) != nil)
    _ = await code { try await store.close() }
    let flushCount = device.history.events.filter {
      if case .flushSubmitted = $0 { true } else { false }
    }.count
    let failedFlush = device.history.events.firstIndex {
      if case .flushCompleted(_, let errorNumber, _) = $0 { errorNumber != 0 } else { false }
    }
    let after = device.history.events[(try #require(failedFlush))...].filter {
      if case .flushSubmitted = $0 { true } else { false }
    }
    #expect(after.isEmpty, "\(flushCount) flushes")
    await judgeEnd(store, device, seed: seed)
  }

  @Test func aReadThatFailsConcernsItsKeyAlone() async throws {
    let (store, device, contents) = try await reopenedStore(seed: 40)
    _ = try await store.get(key(3))
    let place = try lastRead(device)
    device.install(FaultPlan(seed: 40).failing(.read, .touching(place)))
    for number in 0..<8 where number != 3 {
      #expect(try await store.get(key(number))?.value == contents[key(number)])
    }
    let failure = await code { _ = try await store.get(key(3)) }
    #expect(failure == .io)
    // A fault that goes away within three attempts is none.
    device.install(FaultPlan(seed: 40).failing(.read, .touchingTimes(place, 2)))
    #expect(try await store.get(key(3))?.value == contents[key(3)])
    try await store.close()
  }

  @Test func rotConcernsItsKeyAlone() async throws {
    let (store, device, contents) = try await reopenedStore(seed: 50)
    _ = try await store.get(key(5))
    let place = try lastRead(device)
    // The middle of the extent: surely this record.
    device.rot(in: place.lowerBound + 4096..<place.lowerBound + 5000)
    #expect(await code { _ = try await store.get(key(5)) } == .corrupt)
    #expect(await code { _ = try await store.get(key(5)) } == .corrupt)
    for number in 0..<8 where number != 5 {
      #expect(try await store.get(key(number))?.value == contents[key(number)])
    }
    #expect(store.health == .degraded)
    // An overwrite heals the key.
    try await store.put(key(5), Array("new".utf8))
    #expect(try await store.get(key(5))?.value == Array("new".utf8))
    try await store.close()
  }

  @Test func aFullStoreStillDeletesAndTakesWritesAgain() async throws {
    let (store, device) = try await Harness.observed(seed: 60)
    var writer = ScriptWriter(store, seed: 60)
    var count = 0
    while count < 1000 {
      let failure = await code { try await store.put(key(count), writer.value(6000)) }
      guard failure == nil else {
        #expect(failure == .full)
        break
      }
      count += 1
    }
    #expect(count > 50 && count < 1000)
    #expect(store.store.health == .full)
    #expect(try await Harness.contents(store.store) == store.oracle.contents)
    await judgeEnd(store, device, seed: 60)
    for number in 0..<count { try await store.delete(key(number)) }
    for number in 0..<20 { try await writer.put(number, 6000) }
    #expect(store.store.health == .healthy)
    await judgeEnd(store, device, seed: 61)
    try await store.close()
  }

  @Test func aFullFileSystemLosesNothing() async throws {
    let (store, device) = try await Harness.observed(seed: 70)
    var writer = ScriptWriter(store, seed: 70)
    for number in 0..<4 { try await writer.put(number) }
    device.install(FaultPlan(seed: 70).full(fromWrite: 0))
    let value = writer.value(40)
    #expect(await code { try await store.put(key(9), value) } == .indeterminate)
    for number in 0..<4 { #expect(try await store.store.get(key(number)) != nil) }
    await judgeEnd(store, device, seed: 70)
    try? await store.store.close()
  }

  @Test func lostAndMisdirectedWritesAreNeverMistakenForData() async throws {
    for seed in Harness.seeds(80...87) {
      let (store, device) = try await Harness.observed(seed: seed)
      var writer = ScriptWriter(store, seed: seed)
      for number in 0..<6 { try await writer.put(number, 3000) }
      let plan = FaultPlan(seed: seed)
      device.install(
        seed % 2 == 0
          ? plan.losingWrite(.once(1))
          : plan.misdirectingWrite(.once(1), to: 1 << 20))
      for number in 0..<6 { try await writer.put(number, 3000) }
      let image = device.visible
      try await store.store.close()
      var options = Harness.options
      options.allowDegraded = true
      options.readOnly = true
      let reopened = try await Store.open(
        device: RAMDevice(image: image, delivery: .inline), options: options)
      var found: [[UInt8]: [UInt8]] = [:]
      for number in 0..<6 {
        // An error is an honest answer; wrong bytes are not.
        if let value = try? await reopened.get(key(number)) { found[key(number)] = value.value }
      }
      let inventions = store.oracle.check(
        recovered: found, crash: .power, eventIndex: device.eventCount
      ).filter { $0.hasPrefix("invention") }
      #expect(inventions.isEmpty && !found.isEmpty, "seed \(seed)")
      try await reopened.close()
    }
  }
}
