import Testing
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Compaction between and beside everything else that happens to the records that it moves.
///
/// Exhaustive within bounds: all histories of two keys of `historyLength` steps; and a compaction
/// held at each request that it makes of the device, for each thing that may happen to a record
/// meanwhile. By seed beyond them.
@Suite struct CompactionInterleavingTests {
  // MARK: Histories of two keys

  /// Steps of a history: 3, and 5 with `VARVE_LONG_TESTS`.
  static let historyLength = Harness.isLong ? 5 : 3

  enum Step: CaseIterable {
    case putA, putB, deleteA, deleteB, compact, crash, checkpoint

    /// Whether it concerns the second key.
    var isOfB: Bool { self == .putB || self == .deleteB }
    var isOfA: Bool { self == .putA || self == .deleteA }
  }

  /// All histories in which the key that is used first is a: the others are the same with the names
  /// exchanged.
  private static func histories(from steps: [Step]) -> [[Step]] {
    guard steps.count < historyLength else { return [steps] }
    let hasKey = steps.contains { $0.isOfA }
    return Step.allCases.filter { hasKey || !$0.isOfB }.flatMap { histories(from: steps + [$0]) }
  }

  @Test(arguments: Step.allCases.filter { !$0.isOfB })
  func everyHistoryOfTwoKeys(first: Step) async throws {
    let empty = try await Harness.formatted()
    for history in Self.histories(from: [first]) {
      let failure = await failure(of: history, on: empty)
      if let failure {
        Issue.record("\(history): \(failure)")
        return
      }
    }
  }

  /// Plays a history, looks at the store after each step, and at what a loss of power leaves.
  private func failure(of history: [Step], on empty: SparseImage) async -> String? {
    var device = SimulatedDevice(
      image: empty, faults: FaultPlan(), seed: nil, delivery: .background)
    var model: [[UInt8]: [UInt8]] = [:]
    do {
      var store = try await Harness.open(device)
      for (number, step) in history.enumerated() {
        switch step {
        case .putA, .putB:
          let (key, value) = (step == .putA ? "a" : "b", "\(number)")
          try await store.put(key, value)
          model[API.bytes(key)] = API.bytes(value)
        case .deleteA, .deleteB:
          let key = step == .deleteA ? "a" : "b"
          try await store.delete(key)
          model[API.bytes(key)] = nil
        case .compact: try await store.compact()
        case .checkpoint: try await store.checkpoint()
        case .crash:
          let left = device.durable
          try await store.close()
          device = SimulatedDevice(
            image: left, faults: FaultPlan(), seed: nil, delivery: .background)
          store = try await Harness.open(device)
        }
        // What comes next lies in another segment, and hardly anything in this one is live.
        try await store.put("fill", Immunity.filler)
        model[API.bytes("fill")] = Immunity.filler
        let found = try await Harness.contents(store)
        if found != model { return "step \(number) shows \(found.keys)" }
      }
      let left = device.durable
      try await store.close()
      for (name, image) in [("a crash", left), ("a close", device.durable)] {
        let reopened = try await Harness.open(RAMDevice(image: image, delivery: .inline))
        let found = try await Harness.contents(reopened)
        try await reopened.compact()
        let compacted = try await Harness.contents(reopened)
        try await reopened.close()
        if found != model { return "after \(name): \(found.keys)" }
        if compacted != model { return "compacted after \(name): \(compacted.keys)" }
      }
      return nil
    } catch {
      return "\(error)"
    }
  }

  // MARK: A compaction that is held

  /// What happens to the record k while it is moved.
  enum Meanwhile: CaseIterable {
    case put, delete, putAndDelete, deleteAndPut, batch, iterate, checkpointAndPut
  }

  @Test(arguments: Meanwhile.allCases) func heldAtEachRequest(meanwhile: Meanwhile) async throws {
    var requestCount = 0
    while try await play(meanwhile, heldAt: requestCount) { requestCount += 1 }
    #expect(requestCount >= 8, "a compaction makes more requests than \(requestCount)")
  }

  /// Holds one request of a compaction while something happens; false where it makes fewer.
  private func play(_ meanwhile: Meanwhile, heldAt number: Int) async throws -> Bool {
    let simulated = SimulatedDevice(
      image: try await Harness.formatted(), faults: FaultPlan(), seed: nil,
      delivery: .background)
    let device = GateDevice(over: simulated)
    let gate = IdleGate()
    let store = ObservedStore(
      try await gate.openStore(device, options: Harness.options), on: simulated)
    let (k, fill) = (API.bytes("k"), API.bytes("fill"))
    try await store.put(k, API.bytes("old"))
    try await store.put(API.bytes("m"), API.bytes("m"))
    for _ in 0..<4 { try await store.put(fill, Immunity.filler) }
    // Sealed, and nobody wants a segment.
    try await store.store.checkpoint()
    let count = SharedCount()
    device.install { _ in count.add(1) == number + 1 ? .hold : .pass }
    let isDone = SharedCount()
    let compaction = Task {
      try await store.store.compact()
      isDone.add(1)
    }
    await API.until { device.heldCount > 0 || isDone.value > 0 }
    let isHeld = device.heldCount > 0
    let action = Task { try await act(meanwhile, on: k, of: store) }
    // The others may wait for the request that is held.
    let isQuick = meanwhile != .iterate && meanwhile != .checkpointAndPut
    if isQuick { try await action.value }
    let violations = isQuick ? try await judge(store, simulated) : []
    #expect(violations.isEmpty, "\(meanwhile), held at \(number): \(violations)")
    device.release()
    try await compaction.value
    try await action.value
    try await store.sync()
    #expect(try await Harness.contents(store.store) == store.oracle.contents)
    let later = try await judge(store, simulated)
    #expect(later.isEmpty, "\(meanwhile), after \(number): \(later)")
    gate.open()
    try await store.close()
    let last = try await judge(store, simulated)
    #expect(last.isEmpty, "\(meanwhile), closed after \(number): \(last)")
    return isHeld
  }

  private func act(_ meanwhile: Meanwhile, on k: [UInt8], of store: ObservedStore) async throws {
    let new = API.bytes("new")
    switch meanwhile {
    case .put: try await store.put(k, new, durability: .buffered)
    case .delete: try await store.delete(k, durability: .buffered)
    case .putAndDelete:
      try await store.put(k, new, durability: .buffered)
      try await store.delete(k, durability: .buffered)
    case .deleteAndPut:
      try await store.delete(k, durability: .buffered)
      try await store.put(k, new, durability: .buffered)
    case .batch:
      try await store.write(
        [.delete(k), .put(k, new), .put(API.bytes("n"), new)], durability: .buffered)
    case .iterate:
      let found = try await Harness.contents(store.store)
      #expect(found == store.oracle.contents)
    case .checkpointAndPut:
      try await store.store.checkpoint()
      try await store.put(k, new)
    }
  }

  /// What a kill and a loss of power right now break of what was promised.
  private func judge(_ store: ObservedStore, _ device: SimulatedDevice) async throws -> [String] {
    var violations: [String] = []
    let eventIndex = device.eventCount
    for (crash, image) in [(Crash.kill, device.visible), (.power, device.durable)] {
      let reopened = try await Harness.open(RAMDevice(image: image, delivery: .inline))
      let found = try await Harness.contents(reopened)
      try await reopened.close()
      violations += store.oracle.check(recovered: found, crash: crash, eventIndex: eventIndex)
        .map { "\(crash): \($0)" }
    }
    return violations
  }

  // MARK: By seed

  @Test(arguments: Harness.seeds(71...(Harness.isLong ? 200 : 76)))
  func writersAndScansBesideCompactions(seed: UInt64) async throws {
    let (store, device) = try await Harness.observed(seed: seed)
    await withTaskGroup(of: Void.self) { group in
      for client in 0..<3 as Range<UInt64> {
        group.addTask {
          var writer = ScriptWriter(store, seed: seed &* 100 &+ client)
          for _ in 0..<60 {
            // Errors are the oracle's business.
            try? await writer.anyStep(keyCount: 6, byteCounts: [40, 3000, 9000])
          }
        }
      }
      group.addTask {
        for _ in 0..<6 {
          try? await store.store.compact()
          _ = try? await Harness.contents(store.store)
        }
      }
    }
    try await store.sync()
    #expect(try await Harness.contents(store.store) == store.oracle.contents, "seed \(seed)")
    let violations = try await judge(store, device)
    #expect(violations.isEmpty, "seed \(seed): \(violations)")
    try await store.close()
  }
}
