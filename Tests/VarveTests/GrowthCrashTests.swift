import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// Growths crashed at every boundary between two events of the device, in every way that its
/// contract allows: the store opens at the old size or at the new one, and loses nothing.
@Suite(.serialized) struct GrowthCrashTests {
  /// How large a store becomes on a device of how many bytes.
  struct Case: Hashable, Sendable {
    var seed: UInt64
    var byteCount: UInt64
    var deviceByteCount: UInt64
  }

  /// To the end of the device, where copies are found from that end, and to less; with the same
  /// pages of the table, and with more.
  private static let cases: [Case] = [
    Case(seed: 61, byteCount: 4 << 20, deviceByteCount: 4 << 20),
    Case(seed: 62, byteCount: 3 << 20, deviceByteCount: 4 << 20),
    Case(seed: 63, byteCount: 9 << 20, deviceByteCount: 9 << 20),
    Case(seed: 64, byteCount: 17 << 20, deviceByteCount: 18 << 20),
  ]

  private static func device(_ byteCount: UInt64, seed: UInt64) async throws -> SimulatedDevice {
    var image = try await Harness.formatted()
    image.resize(to: byteCount)
    return SimulatedDevice(image: image, faults: FaultPlan(), seed: seed, delivery: .background)
  }

  private func explore(
    _ item: Case, interval: Int, minimumImageCount: Int,
    prepare: (inout ScriptWriter) async throws -> Void,
    _ script: (inout ScriptWriter) async throws -> Void
  ) async throws {
    let device = try await Self.device(item.deviceByteCount, seed: item.seed)
    let store = ObservedStore(try await Harness.open(device), on: device)
    var writer = ScriptWriter(store, seed: item.seed)
    try await prepare(&writer)
    let start = device.eventCount
    try await script(&writer)
    let history = device.history
    #expect(try await Harness.contents(store.store) == store.oracle.contents)
    try await store.store.close()
    var judge = CrashJudge(seed: item.seed)
    await judge.judge(
      history, store.oracle, interval: interval, boundaries: start...history.events.count)
    #expect(judge.imageCount >= minimumImageCount, "the enumeration found too little to crash")
  }

  private func write(_ writer: inout ScriptWriter) async throws {
    for _ in 0..<12 { try await writer.anyStep(keyCount: 8, byteCounts: [40, 3000]) }
    try await writer.store.sync()
  }

  @Test(arguments: cases) func aGrowth(_ item: Case) async throws {
    try await explore(item, interval: 24, minimumImageCount: 2, prepare: write) { writer in
      try await writer.store.store.grow(toByteCount: item.byteCount)
    }
  }

  @Test(arguments: [cases[1], cases[2]]) func writesBesideAGrowth(_ item: Case) async throws {
    try await explore(item, interval: 192, minimumImageCount: 4, prepare: write) { writer in
      let store = writer.store
      async let growth = store.store.grow(toByteCount: item.byteCount)
      for _ in 0..<16 { try await writer.anyStep(keyCount: 12, byteCounts: [40, 3000, 9000]) }
      _ = try await growth
      for _ in 0..<4 { try await writer.anyStep(keyCount: 12, byteCounts: [40, 3000]) }
    }
  }

  /// What lay at the old end is overwritten by segments.
  @Test(arguments: cases.prefix(1)) func theNewSegmentsAreUsed(_ item: Case) async throws {
    let fill: (inout ScriptWriter) async throws -> Void = { writer in
      for number in 0..<50 { try await writer.put(number, 14000, .buffered) }
      try await writer.store.sync()
    }
    try await explore(item, interval: 2_000, minimumImageCount: 2, prepare: fill) { writer in
      try await writer.store.store.grow(toByteCount: item.byteCount)
      for number in 50..<90 { try await writer.put(number, 14000, .buffered) }
      try await writer.store.sync()
      #expect(writer.store.store.segments[62].state != .free, "the old end is not used")
    }
  }

  @Test func twoGrowths() async throws {
    let item = Case(seed: 65, byteCount: 3 << 20, deviceByteCount: 9 << 20)
    try await explore(item, interval: 48, minimumImageCount: 6, prepare: write) { writer in
      try await writer.store.store.grow(toByteCount: item.byteCount)
      for _ in 0..<4 { try await writer.anyStep(keyCount: 8, byteCounts: [40, 3000]) }
      try await writer.store.store.grow()
      for _ in 0..<4 { try await writer.anyStep(keyCount: 8, byteCounts: [40, 3000]) }
    }
  }

  /// Every image has the old size or the new one; and whatever a first growth has left behind, the
  /// next one succeeds.
  @Test(arguments: cases) func oneSizeOrTheOther(_ item: Case) async throws {
    let device = try await Self.device(item.deviceByteCount, seed: item.seed)
    let store = try await Harness.open(device)
    try await store.put("key", "value")
    try await store.sync()
    let start = device.eventCount
    let plan = try await store.grow(toByteCount: item.byteCount)
    let history = device.history
    try await store.close()
    var counts: [Int: Int] = [:]
    for image in CrashEnumerator(
      history, crash: .power, boundaries: start...history.events.count,
      density: CrashEnumerator.Density(samplingInterval: Harness.interval(24)), seed: item.seed)
    {
      let opened = try await Harness.open(image.makeDevice(delivery: .inline))
      let count = opened.statistics.segmentCount
      counts[count, default: 0] += 1
      if image.eventIndex == history.events.count { #expect(count == plan.grownSegmentCount) }
      if count == plan.segmentCount {
        try await opened.put("key", "later")
        try await opened.grow(toByteCount: item.byteCount)
      }
      #expect(opened.statistics.segmentCount == plan.grownSegmentCount)
      try await opened.put("other", "value")
      #expect(try await opened.get("key") != nil)
      try await opened.close()
    }
    #expect(Set(counts.keys) == [plan.segmentCount, plan.grownSegmentCount])
    #expect(counts.values.allSatisfy { $0 >= 1 }, "\(counts)")
  }

  /// A file that a crash leaves longer than its store, by any length, opens as it was.
  @Test func aFileThatIsLongerThanItsStore() async throws {
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let store = try await Harness.open(device)
    try await store.put("key", "value")
    try await store.close()
    for extra in [4096, 5 * 4096, 9 * 4096, 11 * 4096, 32 << 10, 1 << 20, 30 << 20] as [UInt64] {
      var image = device.image
      image.resize(to: (2 << 20) + extra)
      let longer = RAMDevice(image: image, delivery: .inline)
      let opened = try await Harness.open(longer)
      #expect(opened.statistics.segmentCount == store.statistics.segmentCount)
      #expect(opened.recoveryReport.outcome == .clean)
      #expect(opened.recoveryReport.findings.isEmpty)
      #expect(try await opened.get("key")?.text == "value")
      try await opened.close()
    }
  }
}
