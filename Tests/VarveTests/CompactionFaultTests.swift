import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Faults of the device under a compaction, and a store that is full, idle, or held to a rate.
@Suite struct CompactionFaultTests {
  private static let pageByteCount = UInt64(Limits.pageByteCount)

  /// Three victims, of which each holds one record.
  private func threeVictims(_ scene: CompactionScene) async throws -> [Int] {
    var victims: [Int] = []
    for key in ["k1", "k2", "k3"] { victims.append(try await scene.victim([(key, key)])) }
    return victims
  }

  @Test func aDamagedRecordKeepsItsSegmentUntilItIsHealed() async throws {
    let scene = try await CompactionScene()
    let victims = try await threeVictims(scene)
    scene.device.medium.overwrite(
      [UInt8](repeating: 0xaa, count: 512),
      at: scene.location(of: "k2").page.rawValue * Self.pageByteCount + 512)
    try await scene.store.compact()
    #expect(victims.map(scene.state) == [.free, .sealed, .free])
    #expect(scene.store.health == .degraded)
    #expect(await API.code { _ = try await scene.store.get("k2") } == .corrupt)
    try await scene.expect(afterKill: ["k1": "k1", "k3": "k3"])
    try await scene.store.put("k2", "healed")
    try await scene.store.compact()
    #expect(scene.state(victims[1]) == .free)
    try await scene.expect(afterKill: ["k1": "k1", "k2": "healed", "k3": "k3"])
    try await scene.close()
  }

  /// Without its summary a segment is gone through by its frames.
  @Test func aSummaryOfWhichBothCopiesAreDamaged() async throws {
    let scene = try await CompactionScene()
    let victims = try await threeVictims(scene)
    let frames = scene.frames(of: victims[1])
    for copy in 0..<2 as Range<UInt64> {
      scene.device.medium.overwrite(
        [UInt8](repeating: 0, count: 512), at: frames.upperBound + copy * Self.pageByteCount)
    }
    try await scene.store.compact()
    #expect(victims.map(scene.state) == [.free, .free, .free])
    try await scene.expect(afterKill: ["k1": "k1", "k2": "k2", "k3": "k3"])
    try await scene.close()
  }

  @Test func aWriteThatFailsIsMadeElsewhere() async throws {
    let scene = try await CompactionScene()
    let victims = try await threeVictims(scene)
    let (uuid, count) = (scene.superblock.uuid, SharedCount())
    scene.device.install {
      CompactionScene.isRelocation($0, uuid) && count.add(1) == 1 ? .fail : .pass
    }
    try await scene.store.compact()
    #expect(count.value > 1)
    #expect(victims.map(scene.state) == [.free, .free, .free])
    #expect(scene.store.health == .healthy)
    try await scene.expect(afterKill: ["k1": "k1", "k2": "k2", "k3": "k3"])
    try await scene.close()
  }

  /// A device on which compaction can write nowhere is given up by it, not by the store.
  @Test func writesThatFailEverywhere() async throws {
    let scene = try await CompactionScene()
    let victims = try await threeVictims(scene)
    let uuid = scene.superblock.uuid
    scene.device.install { CompactionScene.isRelocation($0, uuid) ? .fail : .pass }
    try await scene.store.compact()
    #expect(victims.map(scene.state) == [.sealed, .sealed, .sealed])
    try await scene.store.put("k1", "new")
    #expect(try await scene.store.get("k2")?.text == "k2")
    try await scene.expect(afterKill: ["k1": "new", "k2": "k2", "k3": "k3"])
    try await scene.close()
    try await scene.expect(afterKill: ["k1": "new", "k2": "k2", "k3": "k3"])
  }

  @Test func aFlushThatFailsPoisons() async throws {
    let scene = try await CompactionScene()
    let victims = try await threeVictims(scene)
    let (uuid, count) = (scene.superblock.uuid, SharedCount())
    scene.device.install { request in
      if CompactionScene.isRelocation(request, uuid) { count.add(1) }
      return request.operation == .flush && count.value > 0 ? .fail : .pass
    }
    #expect(await API.code { try await scene.store.compact() } != nil)
    await API.until { scene.store.health == .poisoned }
    #expect(victims.map(scene.state) == [.sealed, .sealed, .sealed])
    for key in ["k1", "k2", "k3"] { #expect(try await scene.store.get(key)?.text == key) }
    try await scene.expect(afterKill: ["k1": "k1", "k2": "k2", "k3": "k3"])
    _ = await API.code { try await scene.close() }
  }

  // MARK: Full

  @Test func everythingButPutsWorksInAFullStore() async throws {
    var scene = try await CompactionScene()
    var count = 0
    while await API.code({ try await scene.store.put("\(count)", Immunity.filler) }) == nil {
      count += 1
    }
    await API.until { scene.store.health == .full }
    let frameCount = scene.store.statistics.frameCount
    for _ in 0..<3 {
      #expect(await API.code { try await scene.store.put("x", Immunity.filler) } == .full)
    }
    #expect(scene.store.statistics.frameCount == frameCount, "refused before any I/O")
    try await scene.store.compact()
    #expect(try await Harness.contents(scene.killed()).count == count)
    // Closed while full, and killed while full.
    try await scene.close()
    let image = scene.device.medium.image
    scene = try await CompactionScene(image)
    #expect(await API.code { try await scene.store.put("x", Immunity.filler) } == .full)
    for number in 0..<count where number % 2 == 0 {
      #expect(try await scene.store.delete("\(number)") != nil)
      if number % 16 == 0 {
        #expect(try await Harness.contents(scene.killed()).count == count - number / 2 - 1)
      }
    }
    // Nobody has to ask for anything.
    let wanted = scene.store
    for number in 0..<8 { try await wanted.put("n\(number)", Immunity.filler) }
    await API.until { wanted.health == .healthy }
    #expect(try await Harness.contents(scene.killed()).count == count / 2 + 8)
    try await scene.close()
  }

  // MARK: Idle, expired, and at a rate

  /// A store in which nobody writes puts half-empty segments together, where its options let it.
  @Test func anIdleStoreCompacts() async throws {
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let (idle, other) = (IdleGate(), IdleGate())
    var environment = StoreEnvironment()
    environment.sleep = { nanoseconds in
      await (nanoseconds == Maintenance.idleNanoseconds ? idle : other).wait()
    }
    var options = Harness.options
    options.compactsWhenIdle = true
    let store = try await Store.open(device: device, options: options, environment: environment)
    for number in 0..<8 {
      try await store.put("k\(number)", "v")
      try await store.put("fill", Immunity.filler)
    }
    try await store.checkpoint()
    #expect(store.statistics.relocatedRecordCount == 0, "it has not been idle")
    let freeCount = store.statistics.freeSegmentCount
    idle.open()
    await API.until { store.statistics.freeSegmentCount >= freeCount + 4 }
    #expect(store.statistics.relocatedRecordCount >= 6)
    for number in 0..<8 { #expect(try await store.get("k\(number)")?.text == "v") }
    other.open()
    try await store.close()
  }

  /// Segments full of records that have expired, which nobody overwrites or deletes.
  @Test func expiredRecordsAreReclaimed() async throws {
    let clocks = TestClocks()
    let scene = try await CompactionScene(clocks: clocks)
    let freeCount = scene.store.statistics.freeSegmentCount
    for number in 0..<20 {
      try await scene.store.put(
        "k\(number)", CompactionScene.anchor, expiry: .after(.seconds(60)))
    }
    try await scene.seal("k19")
    try await scene.store.compact()
    #expect(scene.store.statistics.relocatedRecordCount <= 1, "nothing has expired")
    #expect(scene.store.statistics.freeSegmentCount < freeCount - 15)
    clocks.advance(milliseconds: 61_000)
    try await scene.store.compact()
    #expect(scene.store.statistics.freeSegmentCount >= freeCount - 8)
    let killed = try await scene.killed()
    for number in 0..<20 { try await expectAbsent("k\(number)", in: killed) }
    try await killed.close()
    try await scene.close()
  }

  /// No more is moved than the clock has allowed, whatever the device could do.
  @Test func aRateHolds() async throws {
    let (clocks, limitSleeps, gate) = (TestClocks(), SharedCount(), IdleGate())
    var environment = clocks.environment
    let now = environment.monotonicNanoseconds
    environment.sleep = { nanoseconds in
      guard nanoseconds != Maintenance.quietNanoseconds else { return await gate.wait() }
      let end = now() + nanoseconds
      limitSleeps.add(1)
      while now() < end { await Task.yield() }
    }
    var options = Harness.options
    options.compactionBytesPerSecond = 1 << 20
    let store = try await Store.open(
      device: RAMDevice(image: try await Harness.formatted(), delivery: .inline),
      options: options, environment: environment)
    for number in 0..<12 {
      try await store.put("k\(number)", [UInt8](repeating: 1, count: 3000))
      try await store.put("fill", Immunity.filler)
    }
    let isDone = SharedCount()
    let compaction = Task {
      try await store.compact()
      isDone.add(1)
    }
    // Begun before the first step has been paid for: two steps are read, two are written.
    let aheadByteCount: UInt64 = 5 * 3 * 4096
    var (milliseconds, sleepCount) = (0 as UInt64, 0)
    while isDone.value == 0 {
      // It waits for the clock, or is at work on what it may.
      await API.until { limitSleeps.value > sleepCount || isDone.value > 0 }
      sleepCount = limitSleeps.value
      #expect(store.statistics.relocationByteCount <= milliseconds * 1049 + aheadByteCount)
      while limitSleeps.value == sleepCount, isDone.value == 0, milliseconds < 1000 {
        clocks.advance(milliseconds: 1)
        milliseconds += 1
        try await store.checkpoint()
      }
    }
    try await compaction.value
    #expect(store.statistics.relocationByteCount <= milliseconds * 1049 + aheadByteCount)
    #expect(milliseconds >= 4, "nothing was held back")
    gate.open()
    try await store.close()
  }
}
