import Testing
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Stores that grow while they are open.
@Suite struct GrowthTests {
  private static let mebibyte: UInt64 = 1 << 20

  /// Puts until the store is full.
  private func fill(_ store: Store, _ prefix: String) async throws -> [String: Int] {
    var expected: [String: Int] = [:]
    let code = await API.code {
      for number in 0..<100_000 {
        let key = "\(prefix)-\(number)"
        try await store.put(
          key, [UInt8](repeating: UInt8(number % 251), count: 3000), durability: .buffered)
        expected[key] = number
      }
    }
    #expect(code == .full)
    return expected
  }

  private func check(_ store: Store, _ expected: [String: Int]) async throws {
    for (key, number) in expected {
      let value = try await store.get(key)
      #expect(value?.value == [UInt8](repeating: UInt8(number % 251), count: 3000), "\(key)")
    }
  }

  @Test func aFullStoreTakesWritesAgain() async throws {
    let device = try await API.formatted(
      byteCount: 2 * Self.mebibyte, segmentByteCount: Harness.segmentByteCount)
    let store = try await Harness.open(device)
    var expected = try await fill(store, "a")
    let before = store.statistics
    await API.until { store.health == .full }
    let plan = try await store.grow(toByteCount: 9 * Self.mebibyte)
    #expect(plan.byteCount == 2 * Self.mebibyte && plan.grownByteCount == 9 * Self.mebibyte)
    #expect(plan.segmentCount == before.segmentCount)
    #expect(plan.fillByteCount == 7 * Self.mebibyte)
    #expect(plan.grownUsableByteCount > 4 * plan.usableByteCount)
    #expect(store.statistics.segmentCount == plan.grownSegmentCount)
    #expect(store.segments.count == plan.grownSegmentCount)
    await API.until { store.health == .healthy }
    // More than one page of the table describes, and what lay at the old end, are put to use.
    expected.merge(try await fill(store, "b")) { $1 }
    #expect(expected.count > 1200)
    try await check(store, expected)
    for (key, number) in expected where number % 3 == 0 {
      try await store.delete(key, durability: .buffered)
      expected[key] = nil
    }
    try await store.compact()
    try await check(store, expected)
    let killed = try await Harness.open(device.copy())
    #expect(killed.statistics.keyCount == expected.count)
    try await check(killed, expected)
    try await killed.close()
    try await store.close()
    let reopened = try await Harness.open(device.copy())
    #expect(reopened.statistics.segmentCount == plan.grownSegmentCount)
    #expect(reopened.recoveryReport.outcome == .clean && reopened.recoveryReport.findings.isEmpty)
    try await check(reopened, expected)
    try await reopened.close()
  }

  @Test func writersGoOn() async throws {
    let device = try await API.formatted(
      byteCount: 8 * Self.mebibyte, segmentByteCount: Harness.segmentByteCount)
    let store = try await Harness.open(device)
    let stop = StopFlag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          var number = 0
          while !stop.isSet || number < 64 {
            try await store.put("\(writer)-\(number % 64)", "\(number)")
            number += 1
          }
          for key in 0..<64 {
            #expect(try await store.get("\(writer)-\(key)") != nil)
          }
        }
      }
      for mebibytes in [9, 12, 24, 64] as [UInt64] {
        try await store.grow(toByteCount: mebibytes * Self.mebibyte)
      }
      stop.set()
      try await group.waitForAll()
    }
    try await store.close()
    let reopened = try await Harness.open(device.copy())
    #expect(reopened.statistics.keyCount == 256)
    #expect(reopened.statistics.segmentCount > 2000)
    try await reopened.close()
  }

  @Test func aCheckpointFromBeforeStillServes() async throws {
    let device = try await API.formatted(
      byteCount: 5 * Self.mebibyte, segmentByteCount: Harness.segmentByteCount)
    let store = try await Harness.open(device)
    for number in 0..<200 { try await store.put("key-\(number)", "a") }
    try await store.checkpoint()
    // Now 1,276 segments: the generations would fill another page.
    try await store.grow(toByteCount: 40 * Self.mebibyte)
    for number in 0..<40 { try await store.put("late-\(number)", "b") }
    let plan = try await StoreCore.recoveryPlan(device: device.copy())
    let reopened = try await Harness.open(device.copy())
    #expect(reopened.recoveryReport.usedCheckpoint && plan.usesCheckpoint)
    #expect(reopened.statistics.keyCount == 240)
    try await reopened.close()
    try await store.close()
  }

  @Test func whatIsRefused() async throws {
    let device = try await API.formatted(
      byteCount: 2 * Self.mebibyte, segmentByteCount: Harness.segmentByteCount)
    let store = try await Harness.open(device)
    let plan = try store.growthPlan(toByteCount: 4 * Self.mebibyte)
    #expect(await API.code { try await store.grow() } == .usage)
    #expect(await API.code { try await store.grow(toByteCount: 2 * Self.mebibyte) } == .usage)
    #expect(await API.code { try await store.grow(toByteCount: 1 * Self.mebibyte) } == .refused)
    let beyond = plan.maximumByteCount + 4096
    #expect(await API.code { try await store.grow(toByteCount: beyond) } == .refused)
    #expect(await API.code { _ = try store.growthPlan(toByteCount: beyond) } == .refused)
    #expect(device.byteCount == 2 * Self.mebibyte)
    try await store.grow(toByteCount: plan.maximumByteCount)
    #expect(await API.code { try await store.grow(toByteCount: beyond) } == .refused)
    try await store.close()
    #expect(await API.code { try await store.grow(toByteCount: beyond) } == .closed)
    var options = Harness.options
    options.readOnly = true
    let reader = try await Store.open(device: device.copy(), options: options)
    #expect(await API.code { try await reader.grow(toByteCount: beyond) } == .readOnly)
    try await reader.close()
  }

  @Test func aBudgetThatIsTooSmall() async throws {
    let device = try await API.formatted(
      byteCount: 128 * Self.mebibyte, segmentByteCount: Harness.segmentByteCount)
    let store = try await Harness.open(device)
    // 8 MiB are enough for 16,384 segments.
    let code = await API.code { try await store.grow(toByteCount: 640 * Self.mebibyte) }
    #expect(code == .resource && store.statistics.segmentCount < 4096)
    try await store.grow(toByteCount: 500 * Self.mebibyte)
    try await store.close()
  }

  @Test func aDeviceThatIsLarger() async throws {
    let small = try await API.formatted(
      byteCount: 2 * Self.mebibyte, segmentByteCount: Harness.segmentByteCount)
    let store = try await Harness.open(small)
    try await store.put("key", "value")
    try await store.close()
    var image = small.image
    image.resize(to: 5 * Self.mebibyte)
    // Opens at the size that it has recorded.
    let device = SimulatedDevice(
      image: image, faults: FaultPlan(), seed: nil, delivery: .background)
    let log = CapturedLog()
    var options = Harness.options
    options.logger = log.logger
    let opened = try await Store.open(device: device, options: options)
    #expect(log.text.contains("it can be grown"))
    #expect(opened.recoveryReport.findings.isEmpty)
    let count = opened.statistics.segmentCount
    #expect(await API.code { try await opened.grow(toByteCount: 6 * Self.mebibyte) } == .usage)
    let part = try await opened.grow(toByteCount: 3 * Self.mebibyte)
    #expect(part.fillByteCount == 0 && part.presentByteCount == 5 * Self.mebibyte)
    let whole = try await opened.grow()
    #expect(whole.grownByteCount == 5 * Self.mebibyte)
    #expect(opened.statistics.segmentCount > part.grownSegmentCount)
    #expect(part.grownSegmentCount > count)
    try await opened.close()
    // Cut back to what it had at first, and to any length below the new one.
    for byteCount in [2 * Self.mebibyte, 3 * Self.mebibyte, 5 * Self.mebibyte - 4096] {
      var cut = device.visible
      cut.resize(to: byteCount)
      let code = await API.code {
        _ = try await Harness.open(RAMDevice(image: cut, delivery: .inline))
      }
      #expect(code == .refused)
      // Not even where the copies at the head are gone does the old end come to life again.
      cut.write([UInt8](repeating: 0, count: 9 * 4096), at: 0)
      let blind = await API.code {
        _ = try await Harness.open(RAMDevice(image: cut, delivery: .inline))
      }
      #expect(blind == .refused)
    }
  }

  @Test func aNewEndThatCannotBeWritten() async throws {
    let device = try await largerDevice()
    let store = try await Harness.open(device)
    try await store.put("a", "1")
    device.install(FaultPlan().failing(.write, .touchingTimes(3 << 20..<4 << 20, 1)))
    #expect(await API.code { try await store.grow() } == .io)
    // It is as it was, and goes on, over a crash too.
    try await store.put("b", "2")
    #expect(store.health == .healthy)
    let crashed = try await Harness.open(device.copy())
    #expect(crashed.statistics.keyCount == 2)
    #expect(crashed.statistics.segmentCount == store.statistics.segmentCount)
    try await crashed.close()
    try await store.grow()
    try await store.close()
    let reopened = try await Harness.open(device.copy())
    #expect(reopened.statistics.keyCount == 2)
    try await reopened.close()
  }

  @Test(arguments: [0, 8] as [UInt64])
  func aHeadThatCannotBeWritten(page: UInt64) async throws {
    let device = try await largerDevice()
    let store = try await Harness.open(device)
    try await store.put("a", "1")
    let place = page * 4096..<(page + 1) * 4096
    device.install(FaultPlan(seed: page).failing(.write, .touching(place)))
    #expect(await API.code { try await store.grow() } == .poisoned)
    #expect(await API.code { try await store.put("b", "2") } == .poisoned)
    device.install(FaultPlan())
    try? await store.close()
    let reopened = try await Harness.open(device.copy())
    #expect(reopened.statistics.keyCount == 1)
    try await reopened.put("b", "2")
    try await reopened.close()
  }

  @Test func aFlushThatFails() async throws {
    for occurrence in 0..<6 {
      let device = try await largerDevice()
      let store = try await Harness.open(device)
      try await store.put("a", "1")
      try await store.sync()
      await API.until { store.statistics.durableSequence == store.statistics.lastSequence }
      device.install(FaultPlan().failingFlush(at: occurrence, losingData: true))
      #expect(await API.code { try await store.grow() } == .poisoned, "flush \(occurrence)")
      try? await store.close()
      for image in [device.durable, device.visible] {
        let reopened = try await Harness.open(RAMDevice(image: image, delivery: .inline))
        #expect(reopened.statistics.keyCount == 1)
        try await reopened.close()
      }
    }
  }

  /// A store of 2 MiB on a device of 4.
  private func largerDevice() async throws -> SimulatedDevice {
    var image = try await Harness.formatted()
    image.resize(to: 4 << 20)
    return SimulatedDevice(image: image, faults: FaultPlan(), seed: nil, delivery: .background)
  }
}
