import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// Compactions crashed at every boundary between two events of the device: while records are
/// copied, while victims are freed, while their space is used again.
@Suite(.serialized) struct CompactionCrashTests {
  /// Explores what `script` does to a store that `prepare` has brought into a state.
  private func explore(
    seed: UInt64, interval: Int, prepare: (inout ScriptWriter) async throws -> Void,
    _ script: (inout ScriptWriter) async throws -> Void
  ) async throws {
    let (store, device) = try await Harness.observed(seed: seed)
    var writer = ScriptWriter(store, seed: seed)
    try await prepare(&writer)
    let start = device.eventCount
    try await script(&writer)
    let history = device.history
    #expect(try await Harness.contents(store.store) == store.oracle.contents, "seed \(seed)")
    #expect(store.store.statistics.relocatedRecordCount > 0, "nothing was compacted")
    try await store.store.close()
    var judge = CrashJudge(seed: seed)
    await judge.judge(
      history, store.oracle, interval: interval, boundaries: start...history.events.count)
    #expect(judge.imageCount >= 2, "the enumeration found too little to crash")
  }

  /// Fills some twenty segments of which most records are then superseded.
  private func scatter(_ writer: inout ScriptWriter) async throws {
    for number in 0..<100 { try await writer.put(number, 3000, .buffered) }
    for number in 0..<100 where number % 5 != 0 {
      if number % 7 == 0 {
        try await writer.store.delete(writer.key(number), durability: .buffered)
      } else if number % 3 != 0 {
        try await writer.put(number, 40, .buffered)
      }
    }
    try await writer.store.sync()
  }

  @Test(arguments: Harness.seeds(41...42)) func aCompaction(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 400, prepare: scatter) { writer in
      try await writer.store.store.compact()
    }
  }

  @Test(arguments: Harness.seeds(43...44)) func writesDuringACompaction(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 900, prepare: scatter) { writer in
      let store = writer.store
      async let compaction: Void = store.store.compact()
      for _ in 0..<24 { try await writer.anyStep(keyCount: 100, byteCounts: [40, 3000, 9000]) }
      try await compaction
      for _ in 0..<4 { try await writer.anyStep(keyCount: 100, byteCounts: [40, 3000]) }
    }
  }

  @Test(arguments: Harness.seeds(45...46)) func aCheckpointBetweenTwo(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 400, prepare: scatter) { writer in
      try await writer.store.store.compact()
      try await writer.store.store.checkpoint()
      for number in 0..<40 { try await writer.put(number * 2, 3000, .buffered) }
      for number in 0..<30 {
        try await writer.store.delete(writer.key(number * 3), durability: .buffered)
      }
      try await writer.store.store.compact()
      try await writer.put(1)
    }
  }

  @Test(arguments: Harness.seeds(47...48)) func deletingEverything(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 500, prepare: scatter) { writer in
      for number in 0..<100 {
        try await writer.store.delete(writer.key(number), durability: .buffered)
      }
      try await writer.store.store.compact()
      // What is written next goes where the tombstones were.
      for number in 0..<60 { try await writer.put(100 + number, 3000, .buffered) }
      try await writer.store.store.compact()
      #expect(writer.store.store.statistics.tombstoneCount < 60)
      try await writer.store.sync()
    }
  }

  @Test(arguments: Harness.seeds(49...50)) func aFullStore(seed: UInt64) async throws {
    let prepare: (inout ScriptWriter) async throws -> Void = { writer in
      for number in 0..<200 { try await writer.put(number, 3000, .buffered) }
    }
    try await explore(seed: seed, interval: 8_000, prepare: prepare) { writer in
      for _ in 0..<400 {
        let number =
          writer.random.below(4) == 0 ? writer.random.below(200) : writer.random.below(40)
        try await writer.put(number, 3000, .buffered)
        if writer.random.once(in: 8) {
          try await writer.store.delete(
            writer.key(writer.random.below(200)), durability: writer.durability())
        }
      }
      try await writer.store.sync()
    }
  }
}
