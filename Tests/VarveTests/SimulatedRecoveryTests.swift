import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Recoveries of states that took two crashes, or an unlucky moment, to come about.
@Suite struct SimulatedRecoveryTests {
  /// The image that a power loss leaves while the last write of `device` is in flight and nothing
  /// but its first sectors has landed.
  private func torn(
    _ device: SimulatedDevice, pageCount: Int, sectorCount: Int
  ) throws -> SparseImage {
    let history = device.history
    let index = try #require(
      history.events.lastIndex { event in
        guard case .writeSubmitted(_, let landing, _) = event else { return false }
        return landing.bytes.count == pageCount * 4096
      })
    var cache = VolatileCache(image: history.initial)
    for event in history.events[..<index] { cache.apply(event) }
    guard case .writeSubmitted(_, let landing, _) = history.events[index] else {
      throw StoreError(.io, "no such write")
    }
    var image = cache.visible
    image.write(Array(landing.bytes[..<(sectorCount * 512)]), at: landing.byteOffset)
    return image
  }

  /// A torn frame is cut off, the log goes on over its first page and then in the next segment,
  /// and power is lost before the first segment is sealed: the remains of the torn frame are no
  /// hole, and what followed is kept.
  @Test func remainsOfATornFrameAreNoHole() async throws {
    let (first, device) = try await Harness.observed(seed: 1)
    var writer = ScriptWriter(first, seed: 1)
    try await writer.put(0)
    try await writer.put(1, 9000)
    let image = try torn(device, pageCount: 3, sectorCount: 17)
    try await first.store.close()

    let again = SimulatedDevice(image: image, faults: FaultPlan(), seed: 2, delivery: .background)
    let opened = try await Harness.open(again)
    #expect(opened.recoveryReport.outcome == .recovered)
    let found = try await Harness.contents(opened)
    #expect(found.count == 1)
    let store = ObservedStore(opened, on: again, oracle: Oracle(contents: found))
    let start = again.eventCount
    var second = ScriptWriter(store, seed: 2)
    try await second.put(2)
    for number in 3..<6 { try await second.put(number, 11000) }
    let history = again.history
    try await opened.close()
    var judge = CrashJudge(seed: 2)
    await judge.judge(history, store.oracle, interval: 4, boundaries: start...history.events.count)
    #expect(judge.imageCount > 50)
  }

  /// A segment that was finished, and not sealed, when a checkpoint began lies before it.
  @Test func finishedSegmentsAreNotAppliedOverACheckpoint() async throws {
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let store = try await Harness.open(device)
    try await store.put("k", "old")
    let filler = [UInt8](repeating: 1, count: 11000)
    for number in 0..<2 { try await store.put(Array("f\(number)".utf8), filler) }
    try await store.put("k", "new")
    try await store.checkpoint()
    let copy = device.copy(delivery: .inline)
    try await store.close()

    // As if the crash had come before the first segment was sealed.
    let superblock = try #require(await SuperblockStore.elect(on: copy).superblock)
    #expect(superblock.checkpoint != nil)
    var (table, _) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: copy)
    let sealed = table.entries.filter { $0.entry.state == .sealed && $0.entry.stream == .user }
    #expect(sealed.count == 1)
    for (segment, entry) in sealed {
      _ = try await table.update(
        [
          (
            segment,
            SegmentEntry(
              state: .open, generation: entry.generation, predecessor: entry.predecessor)
          )
        ], on: copy)
    }
    let recovered = try await Harness.open(copy)
    #expect(recovered.recoveryReport.usedCheckpoint)
    #expect(recovered.recoveryReport.outcome == .recovered)
    #expect(try await recovered.get("k")?.value == Array("new".utf8))
    #expect(try await Harness.contents(recovered).count == 3)
    try await recovered.close()
  }

  /// A segment that is sealed while one before it is still open is replayed in its turn.
  @Test func segmentsAreReplayedInTheOrderOfTheLog() async throws {
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let store = try await Harness.open(device)
    let filler = [UInt8](repeating: 1, count: 11000)
    for number in 0..<4 {
      try await store.put("k", Array("version \(number)".utf8))
      try await store.put(Array("f\(number)".utf8), filler)
    }
    try await store.sync()
    let copy = device.copy(delivery: .inline)
    let expected = try await Harness.contents(store)
    try await store.close()
    let superblock = try #require(await SuperblockStore.elect(on: copy).superblock)
    var (table, _) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: copy)
    let first = try #require(table.entries.first { $0.entry.state == .sealed })
    _ = try await table.update(
      [
        (
          first.segment,
          SegmentEntry(
            state: .open, generation: first.entry.generation,
            predecessor: first.entry.predecessor)
        )
      ], on: copy)
    let recovered = try await Harness.open(copy)
    #expect(recovered.recoveryReport.outcome == .recovered)
    #expect(try await Harness.contents(recovered) == expected)
    try await recovered.close()
  }

  /// Writes fail while segments fill up, and the crash comes anywhere in what the store does then.
  @Test(arguments: Harness.seeds(1...3)) func crashesAroundFailedWrites(seed: UInt64) async throws {
    let (store, device) = try await Harness.observed(seed: seed)
    let start = device.eventCount
    var random = SeededGenerator(seed: seed)
    var plan = FaultPlan(seed: seed)
    for _ in 0..<6 { plan = plan.failing(.write, .once(2 + random.below(120))) }
    device.install(plan)
    await withTaskGroup(of: Void.self) { group in
      for client in 0..<6 as Range<UInt64> {
        group.addTask {
          var writer = ScriptWriter(store, seed: seed &* 100 &+ client)
          for _ in 0..<8 {
            // Errors are the oracle's business.
            try? await writer.anyStep(keyCount: 5, byteCounts: [40, 900, 5000, 11000])
          }
        }
      }
    }
    let history = device.history
    #expect(store.store.health != .poisoned)
    #expect(try await Harness.contents(store.store) == store.oracle.contents)
    try? await store.store.close()
    var judge = CrashJudge(seed: seed)
    await judge.judge(
      history, store.oracle, interval: 64, boundaries: start...history.events.count)
    #expect(judge.imageCount > 50)
  }
}
