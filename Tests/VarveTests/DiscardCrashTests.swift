import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// Crashes while freed segments are discarded, on devices that do so in every way they may.
@Suite(.serialized) struct DiscardCrashTests {
  @Test(arguments: [DiscardOutcome.zeros, .oldContent, .mixture])
  func everyBoundary(outcome: DiscardOutcome) async throws {
    let seed = Harness.seeds(61...61)[0]
    let device = SimulatedDevice(
      image: try await Harness.formatted(), faults: FaultPlan(), seed: seed, delivery: .background)
    device.install(discards: outcome)
    var options = Harness.options
    options.discard = true
    let opened = try await Store.open(device: device, options: options)
    let store = ObservedStore(opened, on: device)
    var writer = ScriptWriter(store, seed: seed)
    for number in 0..<100 { try await writer.put(number, 3000, .buffered) }
    for number in 0..<100 where number % 5 != 0 { try await writer.put(number, 40, .buffered) }
    try await store.sync()
    let start = device.eventCount
    // Frees segments, and what is written then goes to those that were discarded.
    try await opened.compact()
    for number in 0..<60 { try await writer.put(100 + number, 3000, .buffered) }
    for number in 0..<60 where number % 3 != 0 {
      try await store.delete(writer.key(100 + number), durability: .buffered)
    }
    try await opened.compact()
    for number in 0..<60 { try await writer.put(200 + number, 3000, .buffered) }
    try await store.sync()
    // A thread of its own does it.
    await API.until { opened.statistics.discardedByteCount > 0 }
    let history = device.history
    #expect(try await Harness.contents(opened) == store.oracle.contents, "seed \(seed)")
    try await opened.close()
    var judge = CrashJudge(seed: seed)
    await judge.judge(
      history, store.oracle, interval: 1_500, boundaries: start...history.events.count)
    #expect(judge.imageCount >= 3, "the enumeration found too little to crash")
    let after = try await Harness.open(device.copy())
    #expect(try await Harness.contents(after) == store.oracle.contents, "seed \(seed)")
    try await after.close()
  }
}
