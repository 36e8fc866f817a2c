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

  /// A segment whose frames were dropped, since those of its predecessor are missing, is freed
  /// before that predecessor: a crash in between does not bring them back.
  @Test func droppedFramesStayDroppedWhereverRecoveryIsCutShort() async throws {
    let device = GateDevice(try await Harness.formatted())
    let geometry = try Superblock(
      decoding: device.medium.image.read(at: 0, byteCount: 4096).span.bytes, at: PageIndex(0)
    ).geometry
    var options = Harness.options
    options.compression = false
    let store = try await Store.open(device: device, options: options)
    try await store.put("k", [UInt8](repeating: 1, count: 11_000))
    await API.until { store.core.log.hasSegmentForPuts }
    // From here on nothing is flushed, and so nothing sealed.
    device.install { $0.operation == .flush ? .hold : .pass }
    try await store.put("lost", [UInt8](repeating: 2, count: 11_000), durability: .written)
    try await store.put("k", [UInt8](repeating: 3, count: 11_000), durability: .written)
    var image = device.medium.image
    device.install { _ in .pass }
    device.release()
    try await store.close()
    let lost = geometry.firstPage(of: SegmentIndex(1)).rawValue * 4096
    image.write([UInt8](repeating: 0, count: geometry.segmentByteCount), at: lost)

    let crashing = SimulatedDevice(
      image: image, faults: FaultPlan(), seed: 5, delivery: .background)
    let recovered = try await Harness.open(crashing)
    #expect(recovered.recoveryReport.outcome == .recovered)
    #expect(try await recovered.get("k")?.value.first == 1)
    let history = crashing.history
    try await recovered.close()
    var imageCount = 0
    for crash in CrashEnumerator(history, crash: .power, density: CrashEnumerator.Density()) {
      let again = try await Harness.open(crash.makeDevice(delivery: .inline))
      #expect(try await again.get("k")?.value.first == 1, "\(crash.summary)")
      #expect(try await again.get("lost") == nil, "\(crash.summary)")
      try await again.close()
      imageCount += 1
    }
    #expect(imageCount > 10)
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
    // Sealing comes a moment later.
    await API.until { store.core.log.finishedSegments.isEmpty }
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

  /// Where a sealed segment follows the last open one, the log does not go on before it.
  @Test func theLogGoesOnBehindASealedSegment() async throws {
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let store = try await Harness.open(device)
    let filler = [UInt8](repeating: 1, count: 11000)
    try await store.put("a", "1")
    try await store.put("f", filler)
    try await store.put("k", filler)
    try await store.put("g", filler)
    try await store.close()
    let copy = device.copy(delivery: .inline)
    let superblock = try #require(await SuperblockStore.elect(on: copy).superblock)
    var (table, _) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: copy)
    // The first is open again, the last, which holds g, is gone.
    let used = table.entries.filter { $0.entry.state != .free }
    #expect(used.count == 3)
    let first = try #require(used.first)
    let last = try #require(used.last)
    _ = try await table.update(
      [
        (
          first.segment,
          SegmentEntry(
            state: .open, generation: first.entry.generation,
            predecessor: first.entry.predecessor)
        ),
        (last.segment, SegmentEntry(state: .free, generation: last.entry.generation)),
      ], on: copy)
    var open = superblock
    open.version += 1
    open.shutdown = .open
    try await SuperblockStore.write(open, on: copy)
    let recovered = try await Harness.open(copy)
    #expect(recovered.recoveryReport.outcome == .recovered)
    #expect(try await recovered.get("k")?.value == filler)
    try await recovered.delete("k")
    let again = try await Harness.open(copy.copy(delivery: .inline))
    #expect(try await again.get("k") == nil, "a durable delete was rolled back")
    try await again.close()
    try await recovered.close()
  }

  /// What a watermark names may all have been superseded and its segments freed: then a torn first
  /// frame is a torn tail, and nothing is missing.
  @Test func watermarksOfFreedSegmentsAreNoLoss() async throws {
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let store = try await Harness.open(device)
    let filler = [UInt8](repeating: 1, count: 11000)
    try await store.put("k", "1")
    try await store.put("f", "2")
    try await store.delete("k")
    try await store.delete("f")
    try await store.put("j", filler, durability: .buffered)
    try await store.put("j", filler)
    while store.statistics.freedSegmentCount == 0 { await Task.yield() }
    let copy = device.copy(delivery: .inline)
    try await store.close()
    let superblock = try #require(await SuperblockStore.elect(on: copy).superblock)
    let (table, _) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: copy)
    for (segment, entry) in table.entries where entry.state == .open {
      // The header page stays; the frame with it did not land.
      let first = superblock.geometry.firstPage(of: segment).rawValue + 1
      copy.overwrite([UInt8](repeating: 0, count: 7 * 4096), at: first * 4096)
    }
    let recovered = try await Harness.open(copy)
    #expect(recovered.recoveryReport.outcome == .recovered)
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
    // Several failures within one update of the metadata poison the store, rightly.
    if store.store.health != .poisoned {
      #expect(try await Harness.contents(store.store) == store.oracle.contents)
    }
    try? await store.store.close()
    var judge = CrashJudge(seed: seed)
    await judge.judge(
      history, store.oracle, interval: 64, boundaries: start...history.events.count)
    #expect(judge.imageCount >= 10)
  }
}
