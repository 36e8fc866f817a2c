import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// What a compaction and whoever waits for it do when something fails beside it.
@Suite(.serialized) struct CompactionDamageTests {
  /// A victim whose records fill more than one window of its summary, which is read in windows.
  private struct LongVictim {
    let device: GateDevice
    let gate = IdleGate()
    let store: Store
    let victim: SegmentIndex
    /// Bytes of the second window of the summary, in both copies.
    let secondWindow: [Range<UInt64>]
    /// The last page of its frames, whose records the second window names.
    let lastPage: Range<UInt64>
    let uuid: StoreUUID

    static let keyCount = 7_000

    static func key(_ number: Int) -> String { "key \(number)" }

    init() async throws {
      let empty = RAMDevice(byteCount: 32 << 20, delivery: .inline)
      try await Store.format(
        device: empty, options: FormatOptions(segmentByteCount: 512 << 10))
      device = GateDevice(empty.image)
      var options = Harness.options
      options.cacheEnabled = false
      // A step is as long as a window then.
      options.memoryBudget = 256 << 20
      store = try await gate.openStore(device, options: options)
      let core = store.core
      for number in 0..<Self.keyCount {
        try await store.put(Self.key(number), "old", durability: .buffered)
      }
      let first = RecordLocation(rawValue: core.index.find(Self.hash(Self.key(0), in: core)))
      victim = try #require(core.geometry.segment(containing: first.page))
      let filler = [UInt8](repeating: 1, count: 100_000)
      for _ in 0..<12 { try await store.put("filler", filler) }
      let (index, watched) = (Int(victim.rawValue), store)
      await API.until { watched.segments[index].state == .sealed }
      let ledger = try #require(core.maintenance?.ledger)
      let reader = SegmentReader(
        device: device, geometry: core.geometry, uuid: core.log.uuid, hashKey: core.hashKey)
      let facts = try #require(await reader.facts(of: victim, entry: ledger[victim]))
      try #require(Int(facts.summaryPageCount.rawValue) > Relocation.summaryWindowPageCount)
      let (geometry, segment) = (core.geometry, victim)
      secondWindow = (0...1).map { copy in
        let start = SegmentSealer.page(
          Relocation.summaryWindowPageCount, copy: copy, summaryPageCount: facts.summaryPageCount,
          of: segment, in: geometry)
        let pageCount =
          UInt64(facts.summaryPageCount.rawValue) - UInt64(Relocation.summaryWindowPageCount)
        return start.rawValue * 4096..<(start.rawValue + pageCount) * 4096
      }
      let page =
        geometry.firstPage(of: victim).rawValue
        + UInt64(ledger[victim].endPageCount.rawValue) - 1
      lastPage = page * 4096..<(page + 1) * 4096
      uuid = core.log.uuid
    }

    static func hash(_ key: String, in core: StoreCore) -> KeyHash {
      KeyHash(of: Array(key.utf8).span.bytes, keyedBy: core.hashKey)
    }

    /// Lets an eighth of the victim die, all of it in the second window.
    func thinOut() async throws {
      for number in Self.keyCount - 1_500..<Self.keyCount {
        try await store.put(Self.key(number), "new", durability: .buffered)
      }
      try await store.sync()
    }
  }

  /// Steps that came before the damage may still be on their way: the victim is theirs so long.
  @Test func aDamagedVictimIsKeptUntilItsCopiesHaveArrived() async throws {
    let scene = try await LongVictim()
    let store = scene.store
    try await scene.thinOut()
    let (uuid, damaged) = (scene.uuid, scene.secondWindow + [scene.lastPage])
    scene.device.install { request in
      if CompactionScene.isRelocation(request, uuid) { return .hold }
      return request.operation == .read && damaged.contains { $0.overlaps(request.range) }
        ? .fail : .pass
    }
    let compaction = Task { try await store.compact() }
    await API.until { scene.device.heldCount > 0 && store.health == .degraded }
    #expect(store.core.segments.isPinned(scene.victim))
    for number in 0..<LongVictim.keyCount {
      try await store.put(LongVictim.key(number), "newer", durability: .buffered)
    }
    try await store.sync()
    #expect(store.segments[Int(scene.victim.rawValue)].state == .sealed)
    scene.device.release()
    try await compaction.value
    let index = Int(scene.victim.rawValue)
    await API.until { store.segments[index].state == .free }
    for number in stride(from: 0, to: LongVictim.keyCount, by: 7) {
      #expect(try await store.get(LongVictim.key(number))?.text == "newer")
    }
    scene.gate.open()
    try await store.close()
  }

  /// The frames have everything that a summary says.
  @Test func aSummaryPageThatIsLostInBothCopiesIsMadeUpForFromTheFrames() async throws {
    let scene = try await LongVictim()
    let store = scene.store
    try await scene.thinOut()
    let damaged = scene.secondWindow
    scene.device.install { request in
      request.operation == .read && damaged.contains { $0.overlaps(request.range) }
        ? .fail : .pass
    }
    try await store.compact()
    #expect(store.segments[Int(scene.victim.rawValue)].state == .free)
    #expect(store.health == .healthy)
    for number in stride(from: 0, to: LongVictim.keyCount, by: 7) {
      let expected = number < LongVictim.keyCount - 1_500 ? "old" : "new"
      #expect(try await store.get(LongVictim.key(number))?.text == expected)
    }
    scene.gate.open()
    try await store.close()
  }

  /// A store that is poisoned by a commit tells who waits for a compaction, whose own requests may
  /// never end.
  @Test func whoWaitsForACompactionLearnsThatTheStoreIsPoisoned() async throws {
    let scene = try await CompactionScene()
    try await scene.victim([("k", "v"), ("m", "m")])
    let uuid = scene.superblock.uuid
    scene.device.install { CompactionScene.isRelocation($0, uuid) ? .hold : .pass }
    let compaction = await scene.heldCompaction()
    scene.device.install { $0.operation == .flush ? .fail : .pass }
    await #expect(throws: StoreError.self) { try await scene.store.put("k", "new") }
    let error = await #expect(throws: StoreError.self) { try await compaction.value }
    #expect(error?.code == .poisoned)
    scene.device.release()
    try? await scene.close()
  }

  /// The size class of 2,000 bytes is rounded up to what a page takes one of, not two.
  @Test(arguments: [640, 990, 1330, 1960])
  func halfOfASegmentThatIsDeadIsSeenWhateverTheSize(byteCount: Int) async throws {
    let gate = IdleGate()
    let device = GateDevice(
      try await API.formatted(byteCount: 2 << 20, segmentByteCount: 32 << 10).image)
    var options = Harness.options
    options.cacheEnabled = false
    let store = try await gate.openStore(device, options: options)
    var random = SeededGenerator(seed: UInt64(byteCount))
    let count = 700_000 / byteCount
    for number in 0..<count {
      try await store.put("k\(number)", random.bytes(byteCount), durability: .buffered)
    }
    for number in stride(from: 0, to: count, by: 2) {
      try await store.delete("k\(number)", durability: .buffered)
    }
    try await store.sync()
    let before = store.statistics.freeSegmentCount
    try await store.compact()
    let won = store.statistics.freeSegmentCount - before
    #expect(won >= 6, "of some 24 segments, half of which is dead, \(won) were won")
    gate.open()
    try await store.close()
  }
}

extension IORequest {
  /// The bytes that it is for.
  fileprivate var range: Range<UInt64> { byteOffset..<byteOffset + UInt64(byteCount) }
}
