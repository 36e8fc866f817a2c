import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Bugs of compaction that other stores shipped, by their number in Tests/IMMUNITY.md: each is
/// brought about on purpose, looked at in the running store and after a crash. `Tools/plant` proves
/// that each of them would be caught.
@Suite struct ImmunityCompactionTests {
  @Test func bug1ATombstoneIsMovedWhileItsPutLivesOn() async throws {
    let scene = try await CompactionScene()
    try await scene.store.put("k", "v")
    try await scene.store.put("anchor", CompactionScene.anchor)
    try await scene.seal("k")
    try await scene.store.delete("k")
    let second = try await scene.seal("k")
    for round in 0..<3 {
      try await scene.store.compact()
      #expect(scene.state(second) == .free, "round \(round)")
      #expect(scene.store.statistics.tombstoneCount == 1)
      #expect(try await scene.store.get("k") == nil)
      try await scene.expect(afterKill: ["k": nil])
    }
    #expect(scene.store.statistics.relocatedRecordCount >= 1)
    try await scene.close()
  }

  @Test func bug2ADeleteWhileTheKeyIsMovedToAHigherSegment() async throws {
    let scene = try await CompactionScene()
    try await scene.victim([("k", "v"), ("m", "m")])
    scene.holdRelocations()
    let compaction = await scene.heldCompaction()
    try await scene.store.delete("k")
    scene.device.release()
    try await compaction.value
    #expect(try await scene.store.get("k") == nil)
    for _ in 0..<2 {
      try await scene.expect(afterKill: ["k": nil, "m": "m"])
      try await scene.store.checkpoint()
    }
    try await scene.close()
    try await scene.expect(afterKill: ["k": nil])
  }

  /// A sweep begins while a key's older record lies in the victim alone, and comes to the victim
  /// after that was freed: what was copied meanwhile is nowhere that it looks.
  @Test func bug3AKeyDiesAndIsPurgedBetweenTheLookAndTheCopy() async throws {
    let scene = try await CompactionScene()
    // Keeps the segment alive that compaction fills.
    try await scene.victim([("m", "m")])
    try await scene.store.compact()
    // What the sweep looks at first, a segment each.
    for number in 0..<24 { try await scene.store.put("cold\(number)", CompactionScene.anchor) }
    try await scene.seal("cold23")
    let victim = try await scene.victim([("k", "v")])
    scene.holdReads(of: victim)
    let compaction = await scene.heldCompaction()
    // Not worth moving, so that the tombstone stays where it is.
    try await scene.store.put("lid", CompactionScene.anchor)
    try await scene.store.delete("k")
    let second = try await scene.seal("k")
    #expect(try second == scene.segment(of: "lid"))
    let generation = scene.store.segments[second].generation
    // From here on the sweep stops at every segment, and what is read of the victim comes at once.
    let geometry = scene.superblock.geometry
    scene.device.install { $0.operation == .read && geometry.endsSegment($0) ? .hold : .pass }
    let demand = Task { try await scene.store.compact() }
    await API.until { scene.device.heldCount == 2 }
    for _ in 0..<20 {
      scene.device.releaseFirst()
      await API.until { scene.device.heldCount > 0 }
    }
    scene.device.release()
    try await compaction.value
    try await demand.value
    #expect(scene.store.statistics.tombstoneCount == 0)
    try await scene.store.put("lid", "")
    try await scene.fill { scene.store.segments[second].generation > generation }
    #expect(try await scene.store.get("k") == nil)
    try await scene.expect(afterKill: ["k": nil, "m": "m"])
    try await scene.close()
    try await scene.expect(afterKill: ["k": nil])
  }

  @Test func bug4AKeyIsMovedTwiceAndItsFirstSegmentUsedAgain() async throws {
    let first = try await CompactionScene()
    let segment = try await first.victim([("k", "v1")])
    let generation = first.store.segments[segment].generation
    // Names the first place, and is what the next opens begin with.
    try await first.store.checkpoint()
    try await first.store.compact()
    #expect(try first.segment(of: "k") != segment)
    // What a crash leaves of a compaction is sealed, and moved in its turn.
    let second = try await CompactionScene(first.device.medium.image)
    #expect(second.store.recoveryReport.usedCheckpoint)
    let place = try second.segment(of: "k")
    await API.until { second.state(place) == .sealed }
    try await second.store.compact()
    #expect(try second.segment(of: "k") != place)
    try await second.fill { second.store.segments[segment].generation > generation + 1 }
    let killed = try await second.killed()
    #expect(killed.recoveryReport.usedCheckpoint)
    #expect(try await killed.get("k")?.text == "v1")
    try await killed.close()
    try await second.store.put("k", "v2")
    try await second.seal("k")
    try await second.store.compact()
    try await second.expect(afterKill: ["k": "v2"])
    try await second.close()
    try await first.close()
  }

  @Test func bug5APutBetweenTheReadAndTheSwing() async throws {
    for isHeldAtRead in [true, false] {
      let scene = try await CompactionScene()
      let victim = try await scene.victim([("k", "old"), ("m", "m")])
      if isHeldAtRead { scene.holdReads(of: victim) } else { scene.holdRelocations() }
      let compaction = await scene.heldCompaction()
      try await scene.store.put("k", "new")
      scene.device.release()
      try await compaction.value
      #expect(try await scene.store.get("k")?.text == "new")
      #expect(try await scene.store.get("m")?.text == "m")
      #expect(scene.state(victim) == .free)
      try await scene.expect(afterKill: ["k": "new"])
      try await scene.close()
    }
  }

  @Test func bug6AVictimIsChosenOnce() async throws {
    let scene = try await CompactionScene()
    let victim = try await scene.victim([("k", "v"), ("m", "m")])
    let (frames, uuid) = (scene.frames(of: victim), scene.superblock.uuid)
    let readCount = SharedCount()
    scene.device.install { request in
      if request.operation == .read, frames.contains(request.byteOffset) { readCount.add(1) }
      return CompactionScene.isRelocation(request, uuid) ? .hold : .pass
    }
    let movedBefore = scene.store.statistics.relocatedRecordCount
    let compaction = await scene.heldCompaction()
    let other = Task { try await scene.store.compact() }
    // The maintenance task comes by, and looks for victims.
    for _ in 0..<3 { try await scene.store.checkpoint() }
    #expect(readCount.value == 1)
    scene.device.release()
    try await compaction.value
    try await other.value
    // The two, and perhaps what fills the log.
    #expect(scene.store.statistics.relocatedRecordCount - movedBefore <= 3)
    let free = scene.store.segments.filter { $0.state == .free }.count
    #expect(scene.store.statistics.freeSegmentCount == free)
    try await scene.expect(afterKill: ["k": "v", "m": "m"])
    try await scene.close()
  }

  @Test func bug7LeftoversOfACompactionThatDied() async throws {
    let first = try await CompactionScene()
    try await first.victim([("k", "v"), ("m", "m")])
    let (uuid, relocationCount) = (first.superblock.uuid, SharedCount())
    first.device.install { request in
      if CompactionScene.isRelocation(request, uuid) { relocationCount.add(1) }
      return request.operation == .flush && relocationCount.value > 0 ? .hold : .pass
    }
    let compaction = await first.heldCompaction()
    // It dies before the index names its copies.
    let second = try await CompactionScene(first.device.medium.image)
    first.device.release()
    try await compaction.value
    try await first.close()
    #expect(try await second.store.get("k")?.text == "v")
    try await second.store.put("m", "n")
    try await second.seal("m")
    try await second.store.delete("k")
    let tombstone = try await second.seal("k")
    try await second.fill {
      second.state(tombstone) == .free && second.store.statistics.tombstoneCount == 0
    }
    try await second.expect(afterKill: ["k": nil, "m": "n"])
    try await second.close()
    try await second.expect(afterKill: ["k": nil])
  }

  @Test func bug8OneOfThreeVictimsCannotBeRead() async throws {
    let scene = try await CompactionScene()
    try await scene.store.put("k2", "old")
    try await scene.store.put("anchor", CompactionScene.anchor)
    var victims: [Int] = []
    for key in ["k1", "k2", "k3"] { victims.append(try await scene.victim([(key, "new")])) }
    let (frames, page) = (scene.frames(of: victims[1]), scene.location(of: "k2").page)
    scene.device.install {
      $0.operation == .read && frames.contains($0.byteOffset) ? .fail : .pass
    }
    try await scene.store.compact()
    #expect(victims.map(scene.state) == [.free, .sealed, .free])
    #expect(scene.store.health == .degraded)
    #expect(try await scene.store.get("k1")?.text == "new")
    #expect(await API.code { _ = try await scene.store.get("k2") } == .io)
    #expect(try await scene.store.get("k3")?.text == "new")
    // The fault was one of the way there, or one of the medium.
    scene.device.release()
    try await scene.expect(afterKill: ["k2": "new"])
    scene.device.medium.overwrite(
      [UInt8](repeating: 0, count: Limits.pageByteCount),
      at: page.rawValue * UInt64(Limits.pageByteCount))
    let killed = try await scene.killed()
    #expect(await API.code { _ = try await killed.get("k2") } == .corrupt)
    #expect(try await killed.get("k3")?.text == "new")
    try await killed.close()
    try await scene.close()
  }

  @Test func bug9AnExpiredRecordIsReplacedByAFreshPut() async throws {
    let clocks = TestClocks()
    let scene = try await CompactionScene(clocks: clocks)
    try await scene.store.put("k", "old", expiry: .after(.seconds(1)))
    try await scene.store.put("m", "m")
    try await scene.seal("k")
    clocks.advance(milliseconds: 2_000)
    scene.holdRelocations()
    let compaction = await scene.heldCompaction()
    try await scene.store.put("k", "new")
    scene.device.release()
    try await compaction.value
    #expect(try await scene.store.get("k")?.text == "new")
    try await scene.expect(afterKill: ["k": "new"])
    try await scene.close()
  }

  @Test func bug10DeletedAndMadeAgainInTheBatchThatIsMoved() async throws {
    let scene = try await CompactionScene()
    try await scene.store.put("k", "old")
    try await scene.store.put("anchor", CompactionScene.anchor)
    var batch = Batch()
    batch.delete("k")
    batch.put("k", "new")
    _ = try await scene.store.write(batch)
    let victim = try await scene.seal("k")
    try await scene.store.compact()
    #expect(scene.state(victim) == .free)
    #expect(try await scene.store.get("k")?.text == "new")
    try await scene.expect(afterKill: ["k": "new"])
    // And while the record before it is moved.
    try await scene.victim([("k", "mid")])
    scene.holdRelocations()
    let compaction = await scene.heldCompaction()
    _ = try await scene.store.write(batch)
    scene.device.release()
    try await compaction.value
    #expect(try await scene.store.get("k")?.text == "new")
    try await scene.expect(afterKill: ["k": "new"])
    try await scene.close()
  }

  @Test func bug11ATombstoneFailsAndAPutFollows() async throws {
    let scene = try await CompactionScene()
    try await scene.store.put("k", "old")
    let isFirst = SharedCount()
    scene.device.install {
      $0.operation == .write && isFirst.add(1) == 1 ? .hold : .pass
    }
    let removal = Task { try await scene.store.delete("k", durability: .written) }
    await API.until { scene.device.heldCount == 1 }
    let put = Task { try await scene.store.put("k", "new") }
    await API.until { !scene.location(of: "k").isTombstone }
    scene.device.failFirst()
    _ = try await removal.value
    _ = try await put.value
    #expect(try await scene.store.get("k")?.text == "new")
    try await scene.expect(afterKill: ["k": "new"])
    try await scene.close()
  }

  /// The same where compaction moves the tombstone.
  @Test func bug11AMovedTombstoneFailsAndAPutFollows() async throws {
    let scene = try await CompactionScene()
    try await scene.store.put("k", "old")
    try await scene.store.put("anchor", CompactionScene.anchor)
    try await scene.store.delete("k")
    try await scene.seal("k")
    scene.holdRelocations()
    let compaction = await scene.heldCompaction()
    try await scene.store.put("k", "new")
    scene.device.failFirst()
    scene.device.release()
    try await compaction.value
    #expect(scene.store.health != .poisoned)
    #expect(try await scene.store.get("k")?.text == "new")
    try await scene.expect(afterKill: ["k": "new"])
    try await scene.close()
  }

  /// Either state after the crash, but the one that was shown stays, though it was shown to one
  /// reader alone and the power fails then.
  @Test func bug12WhatOneOpenShowsThePowerLossDoesNotTake() async throws {
    let device = SimulatedDevice(
      image: try await Harness.formatted(), faults: FaultPlan(), seed: nil, delivery: .background)
    let gate = IdleGate()
    let store = try await gate.openStore(device, options: Harness.options)
    try await store.put("k", "v")
    try await store.delete("k", durability: .written)
    // The process is killed, and the next one only reads.
    var options = Harness.options
    options.readOnly = true
    let reader = try await Store.open(device: device, options: options)
    #expect(try await reader.get("k") == nil)
    let left = RAMDevice(image: device.durable, delivery: .inline)
    let reopened = try await Harness.open(left)
    #expect(try await reopened.get("k") == nil)
    try await reopened.close()
    try await reader.close()
    gate.open()
    try? await store.close()
  }

  @Test func bug13EverythingIsDeletedBesideColdSegments() async throws {
    let scene = try await CompactionScene()
    try await scene.store.put("anchor", CompactionScene.anchor)
    try await scene.seal("anchor")
    try await scene.store.compact()
    let free = scene.store.statistics.freeSegmentCount
    let value = [UInt8](repeating: 5, count: 3000)
    for round in 0..<3 {
      for number in 0..<60 { try await scene.store.put("k\(number)", value) }
      for number in 0..<60 { try await scene.store.delete("k\(number)", durability: .buffered) }
      try await scene.seal("k59")
      try await scene.store.compact()
      #expect(scene.store.statistics.tombstoneCount < 20, "round \(round)")
      #expect(scene.store.statistics.freeSegmentCount >= free - 2, "round \(round)")
    }
    let killed = try await scene.killed()
    #expect(try await Harness.contents(killed).count == 2)
    // Those whose segment was not free yet have come back.
    try await killed.compact()
    #expect(killed.statistics.tombstoneCount < 20)
    try await killed.close()
    try await scene.close()
  }

  @Test func bug14DeletesAndCompactionDuringAScan() async throws {
    let scene = try await CompactionScene()
    // Of one shard of the index, so that a scan reads them together.
    let keys = try scene.keysOfOneShard(count: 3)
    let victim = try await scene.victim([(keys[0], "1"), (keys[1], "2"), (keys[2], "3")])
    let frames = scene.frames(of: victim)
    scene.holdReads(of: victim)
    let store = scene.store
    let scan = Task {
      var found: [String: String] = [:]
      for try await record in store.records where record.value.count < 100 {
        let key = String(decoding: record.key, as: UTF8.self)
        #expect(found[key] == nil, "met twice")
        found[key] = String(decoding: record.value, as: UTF8.self)
      }
      return found
    }
    await API.until { scene.device.heldCount > 0 }
    scene.device.install { _ in .pass }
    try await scene.store.delete(keys[2])
    try await scene.store.compact()
    for key in keys.prefix(2) { #expect(try scene.segment(of: key) != victim) }
    // The place where the scan is reading is no more, however often it tries.
    scene.device.install {
      $0.operation == .read && frames.contains($0.byteOffset) ? .fail : .pass
    }
    while scene.device.heldCount > 0 { scene.device.failFirst() }
    var found = try await scan.value
    found[keys[2]] = nil
    #expect(found == [keys[0]: "1", keys[1]: "2"])
    let killed = try await scene.killed()
    #expect(try await Harness.contents(killed).count == 3)
    #expect(try await killed.get(keys[2]) == nil)
    try await killed.close()
    try await scene.close()
  }
}
