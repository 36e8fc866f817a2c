import Testing
import Varve
import VarveIO
import VarveTesting

@testable import struct VarveIO.SlowRequest
@testable import class Varve.HealthMonitor
@testable import class Varve.SlowRequestRelay

/// What a store says of itself: its health, at any moment, and the events that led there.
@Suite(.timeLimit(.minutes(10))) struct APIHealthTests {
  private func simulated(
    byteCount: UInt64 = 4 << 20, options: StoreOptions = TestingStore.options
  ) async throws -> (Store, SimulatedDevice) {
    let device = SimulatedDevice(byteCount: byteCount)
    try await Store.format(device: device, options: FormatOptions())
    return (try await Store.open(device: device, options: options), device)
  }

  /// The healths that a sequence of events tells.
  private func healths(_ events: [StoreEvent]) -> [StoreHealth] {
    events.compactMap { if case .healthChanged(let health) = $0 { health } else { nil } }
  }

  @Test func healthyAndTheFirstEvent() async throws {
    let testing = try await TestingStore()
    #expect(testing.store.health == .healthy)
    try await testing.store.put("k", "1")
    let later = try await testing.reopenedAsIs().store
    let events = later.events
    #expect(later.recoveryReport.outcome == .recovered)
    try await later.checkpoint()
    try await later.close()
    var heard: [StoreEvent] = []
    for await event in events { heard.append(event) }
    #expect(heard == [.opened(later.recoveryReport), .checkpointCompleted(entryCount: 1)])
    try await testing.store.close()
  }

  @Test func fullAndHealthyAgain() async throws {
    let (store, _) = try await simulated(byteCount: 2 << 20)
    let events = store.events
    let value = [UInt8](repeating: 1, count: 3000)
    var count = 0
    while await API.code({ try await store.put("\(count)", noise(count, value.count)) }) == nil {
      count += 1
    }
    // The health follows the refusal by a moment.
    while store.health != .full { await Task.yield() }
    #expect(await API.code { try await store.put("more", value) } == .full)
    #expect(await API.code { _ = try await store.put("0", value, condition: .always) } == .full)
    // A second listener is told what the first has seen.
    var second = store.events.makeAsyncIterator()
    #expect(await second.next() == .opened(store.recoveryReport))
    #expect(await second.next() == .healthChanged(.full))
    for number in 0..<count { #expect(try await store.delete("\(number)") != nil) }
    #expect(await second.next() == .healthChanged(.healthy))
    // Space comes back as the last deletes are worked off.
    let limit = ContinuousClock.now + .seconds(60)
    while await API.code({ try await store.put("more", value) }) == .full,
      ContinuousClock.now < limit
    {
      await Task.yield()
    }
    #expect(try await store.get("more")?.value == value)
    // As the refusal, a moment later.
    while store.health != .healthy, ContinuousClock.now < limit { await Task.yield() }
    #expect(store.health == .healthy)
    try await store.close()
    var heard: [StoreEvent] = []
    for await event in events { heard.append(event) }
    #expect(healths(heard).first == .full && healths(heard).last == .healthy)
    #expect(healths(heard).count % 2 == 0, "only changes are told")
  }

  private func noise(_ seed: Int, _ byteCount: Int) -> [UInt8] {
    var random = SeededGenerator(seed: UInt64(seed))
    return (0..<byteCount).map { _ in UInt8(random.below(256)) }
  }

  @Test func degradedByARottenPage() async throws {
    let testing = try await TestingStore()
    for number in 0..<10 { try await testing.store.put("\(number)", noise(number, 5000)) }
    try await testing.store.close()
    let log = CapturedLog()
    var options = TestingStore.options
    options.logger = log.logger
    options.cacheEnabled = false
    let device = HoldingDevice(testing.device.copy())
    let store = try await Store.open(device: device, options: options)
    let events = store.events
    _ = try await store.get("3")
    let place = device.lastReadByteOffset
    device.base.overwrite([UInt8](repeating: 0xAA, count: 8), at: place + 2000)
    do {
      _ = try await store.get("3")
      Issue.record("damage was not noticed")
    } catch {
      #expect(error.code == .corrupt)
      #expect(error.byteOffset == place)
      #expect(!"\(error)".contains("\"3\""))
    }
    #expect(store.health == .degraded)
    #expect(store.statistics.corruptReadCount == 1)
    #expect(try await store.get("4")?.value == noise(4, 5000))
    // Writing heals the key; the health stays until the store is opened again.
    try await store.put("3", "new")
    #expect(try await store.get("3")?.text == "new")
    #expect(store.health == .degraded)
    try await store.close()
    var heard: [StoreEvent] = []
    for await event in events { heard.append(event) }
    #expect(heard.contains(.corruptionFound(byteOffset: place)))
    #expect(healths(heard) == [.degraded])
    #expect(log.text.contains("error: a record is damaged"))
  }

  @Test func poisonedIsTheGravest() async throws {
    let (store, device) = try await simulated()
    let events = store.events
    try await store.put("k", "1")
    device.install(FaultPlan().failingFlush(at: 0, losingData: true))
    #expect(await API.code { try await store.put("k", "2") } == .indeterminate)
    #expect(store.health == .poisoned)
    #expect(await API.code { try await store.put("k", "3", durability: .buffered) } == .poisoned)
    #expect(await API.code { try await store.checkpoint() } == .poisoned)
    #expect(await API.code { try await store.close() } == .poisoned)
    var heard: [StoreEvent] = []
    for await event in events { heard.append(event) }
    #expect(heard == [.opened(store.recoveryReport), .healthChanged(.poisoned)])
  }

  @Test func aWriteThatFailedIsToldAndLosesNothing() async throws {
    let (store, device) = try await simulated()
    let events = store.events
    try await store.put("k", "1")
    // The first write to fail may be a copy of the superblock, which nobody misses.
    for number in 0..<8 {
      device.install(FaultPlan().failing(.write, .once(0)))
      let sequence = try await store.put("k", "\(number)")
      #expect(try await store.get("k")?.sequence == sequence)
    }
    #expect(store.health == .healthy)
    try await store.close()
    var retiredCount = 0
    for await event in events { if case .segmentRetired = event { retiredCount += 1 } }
    #expect(retiredCount >= 1 && retiredCount <= 8)
  }

  /// A device that says of itself that requests have been slow.
  private final class SlowDevice: InstrumentedDevice {
    let base: RAMDevice

    init(_ base: RAMDevice) { self.base = base }

    var byteCount: UInt64 { base.byteCount }
    var statistics: DeviceStatistics {
      var statistics = DeviceStatistics()
      statistics.slowRequestCount = 3
      return statistics
    }

    func submit(_ request: IORequest) { base.submit(request) }
    func close() { base.close() }
  }

  @Test func slowRequestsAreCountedLoggedAndTold() async throws {
    let device = SlowDevice(try await API.formatted())
    let store = try await Store.open(device: device, options: TestingStore.options)
    #expect(store.statistics.slowRequestCount == 3)
    try await store.close()
    let log = CapturedLog()
    let health = HealthMonitor(logger: log.logger)
    let relay = SlowRequestRelay(logger: log.logger)
    let request = SlowRequest(
      operation: .read, byteOffset: 8192, byteCount: 4096, ageNanoseconds: 5_000_000_001,
      isInFlight: true)
    relay.report(request)
    relay.connect(health)
    let events = health.subscribe(RecoveryReport())
    relay.report(request)
    health.close()
    var heard: [StoreEvent] = []
    for await event in events { heard.append(event) }
    #expect(heard == [.opened(RecoveryReport()), .slowIO(count: 2)])
    #expect(log.text.split(separator: "\n").count == 2)
    #expect(log.text.contains("in flight for more than 5 seconds"))
  }
}
