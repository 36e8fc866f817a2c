import Testing
import Varve

@testable import VarveTesting

/// Records that expire against a dictionary: seeded histories with closes, kills and wall clocks
/// that are set at random, in a small store whose segments are sealed, freed and used again.
@Suite struct ExpiryModelTests {
  private struct Entry {
    var value: [UInt8]
    /// 0 is never.
    var expiry: UInt64
  }

  private struct Model {
    var test: ExpiringStore
    var entries: [String: Entry] = [:]
    var time = TestClocks.epoch
    var random: SeededGenerator
    let seed: UInt64

    var store: Store { test.store }

    /// The entry of a key, unless it has expired.
    func live(_ key: String) -> Entry? {
      guard let entry = entries[key], entry.expiry == 0 || entry.expiry > time else { return nil }
      return entry
    }

    mutating func key() -> String { "key-\(random.below(30))" }

    mutating func value() -> [UInt8] {
      random.bytes(10) + [UInt8](repeating: 0, count: [0, 200, 2000, 5000][random.below(4)])
    }

    /// An expiry, and the moment that it comes to for a key.
    mutating func expiry(_ key: String) -> (expiry: Expiry, moment: UInt64) {
      switch random.below(6) {
      case 0, 1: return (.never, 0)
      case 2: return (.keep, live(key)?.expiry ?? 0)
      case 3:
        let moment = time + UInt64(random.below(5_000)) + 1 - 1_000
        return (.at(milliseconds: moment), moment)
      default:
        let milliseconds = 1 + random.below(10_000)
        return (.after(.milliseconds(milliseconds)), time + UInt64(milliseconds))
      }
    }

    mutating func step() async throws {
      let key = key()
      let level = Durability.allCases[random.below(3)]
      switch random.below(16) {
      case 0..<4:
        let (expiry, moment) = expiry(key)
        let value = value()
        try await store.put(key, value, expiry: expiry, durability: level)
        entries[key] = Entry(value: value, expiry: moment)
      case 4:
        let sequence = try await store.delete(key, durability: level)
        #expect((sequence != nil) == (live(key) != nil), "seed \(seed)")
        entries[key] = nil
      case 5: try await conditional(key, level)
      case 6: try await batch(level)
      case 7:
        let value = value()
        try await store.update(key, durability: level) { _ in .put(value) }
        entries[key] = Entry(value: value, expiry: live(key)?.expiry ?? 0)
      case 8: #expect(try await store.contains(key) == (live(key) != nil), "seed \(seed)")
      case 9:
        let keys = (0..<8).map { _ in self.key() }
        let found = try await store.multiGet(keys)
        #expect(found.map { $0?.value } == keys.map { live($0)?.value }, "seed \(seed)")
      case 10, 11:
        let milliseconds = UInt64(random.below(3_000))
        test.clocks.advance(milliseconds: milliseconds)
        time += milliseconds
        #expect(store.statistics.clockMilliseconds == time, "seed \(seed)")
      default: try await check(key)
      }
    }

    private func check(_ key: String) async throws {
      let found = try await store.get(key)
      let expected = live(key)
      #expect(found?.value == expected?.value, "seed \(seed)")
      let left = expected.flatMap {
        $0.expiry > 0 ? Duration.milliseconds($0.expiry - time) : nil
      }
      #expect(found?.timeToLive == left, "seed \(seed)")
    }

    private mutating func conditional(_ key: String, _ level: Durability) async throws {
      let current = try await store.get(key)
      let condition: WriteCondition =
        random.once(in: 2) ? .ifAbsent : .ifSequence(current?.sequence ?? 3)
      let (expiry, moment) = expiry(key)
      let value = value()
      let outcome = try await store.put(
        key, value, condition: condition, expiry: expiry, durability: level)
      #expect(outcome.isApplied == ((condition == .ifAbsent) == (live(key) == nil)), "seed \(seed)")
      if outcome.isApplied { entries[key] = Entry(value: value, expiry: moment) }
    }

    private mutating func batch(_ level: Durability) async throws {
      var batch = Batch()
      var after = entries
      for _ in 0..<random.below(5) + 1 {
        let key = key()
        if random.once(in: 4) {
          batch.delete(key)
          after[key] = nil
        } else {
          let (expiry, moment) = expiry(key)
          let value = [UInt8](value().prefix(500))
          batch.put(key, value, expiry: expiry)
          after[key] = Entry(value: value, expiry: moment)
        }
      }
      #expect(try await store.write(batch, durability: level).isApplied)
      entries = after
    }

    /// Ends this open and begins another, under whatever wall clock.
    mutating func reopen() async throws {
      let wall = [
        time, time + 2_000, time + 9 * TestClocks.day, 5, time + 900 * TestClocks.day,
      ][random.below(5)]
      test.clocks.setWall(wall)
      let isAccepted = random.once(in: 8)
      let isClean = random.once(in: 2)
      if isClean {
        try await test.reopen(isAccepted ? .accept : .hold)
      } else {
        if random.once(in: 2) { try await store.checkpoint() }
        try await store.sync()
        try await test.crash(isAccepted ? .accept : .hold)
      }
      let report = store.recoveryReport
      let now = report.clockMilliseconds
      let isHeld = report.heldClockJumpSeconds != nil
      if isClean { #expect(now >= time, "seed \(seed): time goes back over a close") }
      #expect(!(isHeld && isAccepted), "seed \(seed)")
      if isClean, store.statistics.keyCount > 0, !isHeld { #expect(now == max(time, wall)) }
      // What had expired for a reader was looked at, all of it, before: see `run`.
      time = now
    }

    /// All that is there, which also makes the store record what has expired.
    func checkAll() async throws {
      var found: [String: [UInt8]] = [:]
      for try await record in store.records {
        found[String(decoding: record.key, as: UTF8.self)] = record.value
      }
      let expected = entries.keys.compactMap { key in live(key).map { (key, $0.value) } }
      #expect(found == Dictionary(uniqueKeysWithValues: expected), "seed \(seed)")
    }
  }

  @Test(arguments: Harness.seeds(900...905)) func agreesWithADictionary(seed: UInt64) async throws {
    var model = Model(
      test: try await ExpiringStore(byteCount: 4 << 20), random: SeededGenerator(seed: seed),
      seed: seed)
    for _ in 0..<(Harness.isLong ? 60 : 12) {
      for _ in 0..<60 { try await model.step() }
      try await model.checkAll()
      // From here on whatever is gone stays gone.
      for (key, entry) in model.entries where entry.expiry > 0 && entry.expiry <= model.time {
        model.entries[key] = nil
      }
      try await model.reopen()
      try await model.checkAll()
    }
    try await model.test.store.close()
  }
}
