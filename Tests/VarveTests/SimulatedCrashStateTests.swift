import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// Scripted histories, each crashed at every boundary between two events of the device, in every
/// way that the contract of the device allows, and recovered by the real engine.
@Suite(.serialized) struct SimulatedCrashStateTests {
  private func explore(
    seed: UInt64, interval: Int, byteCount: UInt64 = 2 << 20, minimumImageCount: Int = 60,
    _ script: (inout ScriptWriter) async throws -> Void
  ) async throws {
    let (store, device) = try await Harness.observed(seed: seed, byteCount: byteCount)
    let start = device.eventCount
    var writer = ScriptWriter(store, seed: seed)
    try await script(&writer)
    let history = device.history
    let contents = try? await Harness.contents(store.store)
    if let contents { #expect(contents == store.oracle.contents, "seed \(seed)") }
    try await store.store.close()
    var judge = CrashJudge(seed: seed)
    await judge.judge(
      history, store.oracle, interval: interval, boundaries: start...history.events.count)
    #expect(judge.imageCount >= minimumImageCount, "the enumeration found too little to crash")
  }

  @Test(arguments: Harness.seeds(1...2)) func putsOverwritesAndDeletes(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 4) { writer in
      for number in 0..<4 { try await writer.put(number) }
      try await writer.put(1, 40, .buffered)
      try await writer.put(2, 40, .written)
      try await writer.store.delete(writer.key(0))
      try await writer.store.delete(writer.key(9))
      try await writer.put(0, 9000)
      try await writer.store.delete(writer.key(0), durability: .buffered)
      try await writer.store.delete(writer.key(0))
      try await writer.store.sync()
      try await writer.put(3, 40, .buffered)
      try await writer.put(3, 40, .durable)
    }
  }

  @Test(arguments: Harness.seeds(3...4)) func batchesAndConditions(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 6, minimumImageCount: 30) { writer in
      try await writer.batch([0, 1, 2])
      try await writer.batch([1, 3], deleting: [0])
      try await writer.batch([0, 1, 2, 3], byteCount: 1500)
      for number in [1, 7] {
        let value = writer.value(40)
        try await writer.store.put(writer.key(number), value, condition: .ifAbsent)
      }
      try await writer.put(5, 40, .buffered)
      let standing = try await writer.store.store.get(writer.key(5))?.sequence ?? 0
      for sequence in [standing, standing] {
        let value = writer.value(40)
        try await writer.store.put(
          writer.key(5), value, condition: .ifSequence(sequence), durability: .written)
      }
      try await writer.batch([5, 6], deleting: [1, 5])
      try await writer.store.sync()
    }
  }

  @Test(arguments: Harness.seeds(5...8)) func anyOperations(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 24) { writer in
      for _ in 0..<40 {
        try await writer.anyStep(keyCount: 6, byteCounts: [0, 40, 600, 4000, 11000])
      }
    }
  }

  @Test(arguments: Harness.seeds(9...10)) func concurrentWriters(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 48) { writer in
      let store = writer.store
      try await withThrowingTaskGroup(of: Void.self) { group in
        for client in 0..<8 as Range<UInt64> {
          group.addTask {
            var own = ScriptWriter(store, seed: seed &* 1000 &+ client)
            for _ in 0..<6 { try await own.anyStep(keyCount: 5, byteCounts: [40, 900, 5000]) }
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test(arguments: Harness.seeds(11...12))
  func segmentsAreSealedFreedAndReused(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 1500) { writer in
      // Two stores' worth of overwrites of a few keys: every segment dies and is used again.
      for round in 0..<240 {
        try await writer.put(
          writer.random.below(8), 11000, round % 4 == 3 ? .durable : .buffered)
        if round % 16 == 0 {
          try await writer.store.delete(writer.key(writer.random.below(8)), durability: .written)
        }
      }
      try await writer.store.sync()
      #expect(writer.store.store.statistics.freedSegmentCount > 20)
    }
  }

  @Test(arguments: Harness.seeds(13...14)) func checkpointsAndClose(seed: UInt64) async throws {
    try await explore(seed: seed, interval: 16) { writer in
      for _ in 0..<8 { try await writer.anyStep(keyCount: 6, byteCounts: [40, 4000]) }
      try await writer.store.store.checkpoint()
      for _ in 0..<8 { try await writer.anyStep(keyCount: 6, byteCounts: [40, 4000]) }
      try await writer.store.store.checkpoint()
      for _ in 0..<4 { try await writer.anyStep(keyCount: 6, byteCounts: [40, 4000]) }
      try await writer.store.close()
    }
  }

  @Test func aCrashInFormatLeavesNoStoreOrAnEmptyOne() async throws {
    let device = SimulatedDevice(byteCount: 2 << 20, seed: 15)
    try await Store.format(
      device: device, options: FormatOptions(segmentByteCount: Harness.segmentByteCount))
    let history = device.history
    let images = CrashEnumerator(
      history, crash: .power,
      density: CrashEnumerator.Density(samplingInterval: Harness.interval(2)))
    var openedCount = 0
    var refusedCount = 0
    for image in images {
      do {
        let store = try await Harness.open(image.makeDevice(delivery: .inline))
        #expect(try await Harness.contents(store).isEmpty)
        try await store.close()
        openedCount += 1
      } catch let error as StoreError {
        #expect(error.code == .refused, "\(image.summary): \(error)")
        #expect(image.eventIndex < history.events.count, "format returned, yet \(error)")
        refusedCount += 1
      }
    }
    #expect(openedCount > 0 && refusedCount > 0)
  }
}
