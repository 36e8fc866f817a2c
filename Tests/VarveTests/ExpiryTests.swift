import Testing
import VarveFormat

@testable import Varve
@testable import VarveTesting

/// Records that expire: what readers and writers see of them.
@Suite struct ExpiryTests {
  @Test(arguments: ["buffer", "cache", "device"])
  func aRecordIsGoneWhenItsTimeHasCome(place: String) async throws {
    var options = Harness.options
    options.cacheEnabled = place == "cache"
    let test = try await ExpiringStore(options: options)
    let level: Durability = place == "buffer" ? .buffered : .durable
    try await test.store.put("a", "1", expiry: .after(.seconds(10)), durability: level)
    try await test.store.put("b", "2", durability: level)
    #expect(try await test.store.get("a")?.timeToLive == .seconds(10))
    #expect(try await test.store.get("b")?.timeToLive == nil)
    test.clocks.advance(milliseconds: 9_999)
    #expect(try await test.store.get("a")?.timeToLive == .milliseconds(1))
    #expect(try await test.store.multiGet(["a"])[0]?.timeToLive == .milliseconds(1))
    #expect(try await test.store.contains("a"))
    var expiries: [UInt64?] = []
    for try await record in test.store.records { expiries.append(record.expiryMilliseconds) }
    #expect(Set(expiries) == [TestClocks.epoch + 10_000, nil])
    test.clocks.advance(milliseconds: 1)
    try await expectAbsent("a", in: test.store)
    #expect(try await test.store.get("b")?.text == "2")
    let statistics = test.store.statistics
    #expect(statistics.clockMilliseconds == TestClocks.epoch + 10_000)
    #expect(statistics.keyCount == 2, "counted until it is reclaimed")
    if place == "cache" { #expect(statistics.bufferHitCount + statistics.cacheHitCount > 0) }
    try await test.store.close()
  }

  /// The newest version hides all older ones for ever, wherever the next open finds it: in the
  /// frames of an open segment, in a summary, in a checkpoint.
  @Test(arguments: ["frames", "summaries", "checkpoint"])
  func nothingOlderShowsThrough(place: String) async throws {
    var test = try await ExpiringStore()
    try await test.store.put("a", "old")
    try await test.store.put("a", "new", expiry: .after(.seconds(1)))
    let location = RecordLocation(
      rawValue: test.store.core.index.find(
        KeyHash(of: Array("a".utf8).span.bytes, keyedBy: test.store.core.hashKey)))
    #expect(location.hasExpiry && !location.isTombstone)
    if place == "summaries" {
      // Enough to seal the segment that both lie in, none of which dies.
      for number in 0..<60 {
        try await test.store.put("\(number)", [UInt8](repeating: 1, count: 3000))
      }
    }
    if place == "checkpoint" { try await test.store.checkpoint() }
    test.clocks.advance(milliseconds: 1_000)
    for round in 0..<4 {
      try await expectAbsent("a", in: test.store, "round \(round)")
      // A wall clock that is set back brings nothing back either.
      test.clocks.setWall(TestClocks.epoch - UInt64(round) * TestClocks.day)
      if round % 2 == 0 { try await test.crash() } else { try await test.reopen() }
      let report = test.store.recoveryReport
      if place == "summaries" { #expect(report.summaryRecordCount > 0) }
      if place == "checkpoint" { #expect(report.usedCheckpoint) }
      let again = test.store.core.index.find(
        KeyHash(of: Array("a".utf8).span.bytes, keyedBy: test.store.core.hashKey))
      #expect(again == location.rawValue, "an index that is rebuilt is the same")
    }
    try await expectAbsent("a", in: test.store)
    try await test.store.close()
  }

  @Test func conditionsTakeAnExpiredRecordForAbsent() async throws {
    let test = try await ExpiringStore()
    let first = try await test.store.put("a", "1", expiry: .after(.seconds(1)))
    let absent = WriteCondition.ifAbsent
    #expect(
      try await test.store.put("a", "2", condition: absent) == .refused(currentSequence: first))
    test.clocks.advance(milliseconds: 1_000)
    let stale = WriteCondition.ifSequence(first)
    #expect(try await test.store.put("a", "2", condition: stale) == .refused(currentSequence: nil))
    #expect(
      try await test.store.delete("a", condition: .always) == .refused(currentSequence: nil))
    #expect(try await test.store.delete("a", condition: stale) == .refused(currentSequence: nil))
    var batch = Batch()
    batch.put("b", "1")
    batch.put("a", "2", condition: stale)
    #expect(try await test.store.write(batch) == .refused(operationIndex: 1))
    #expect(try await test.store.put("a", "3", condition: absent).isApplied)
    #expect(try await test.store.get("a")?.text == "3")
    #expect(try await test.store.get("b") == nil)
    try await test.store.close()
  }

  /// A condition that held when the record was read does not hold once it has expired.
  @Test func aRecordThatExpiresBeforeTheWriteIsReadAgain() async throws {
    let test = try await ExpiringStore()
    try await test.store.put("a", "1", expiry: .after(.seconds(1)))
    let core = test.store.core
    let key = Array("a".utf8)
    let current = try await core.currentRecord(
      hash: KeyHash(of: key.span.bytes, keyedBy: core.hashKey), key: key.span.bytes)
    let location = current.expected.place.location
    #expect(current.sequence != nil && core.log.isStill(current.expected, at: location))
    test.clocks.advance(milliseconds: 1_000)
    #expect(!core.log.isStill(current.expected, at: location))
    try await test.store.close()
  }

  @Test func aPutReplacesOrKeepsAnExpiry() async throws {
    let test = try await ExpiringStore()
    let store = test.store
    try await store.put("a", "1", expiry: .keep)
    #expect(try await store.get("a")?.timeToLive == nil, "there was nothing to keep")
    try await store.put("a", "2", expiry: .after(.seconds(60)))
    test.clocks.advance(milliseconds: 20_000)
    try await store.put("a", "3", expiry: .keep)
    #expect(
      try await store.get("a")
        == VersionedValue(
          value: Array("3".utf8), sequence: 3, timeToLive: .seconds(40)))
    let outcome = try await store.put("a", "4", condition: .ifSequence(3), expiry: .keep)
    #expect(outcome == .applied(sequence: 4))
    #expect(try await store.get("a")?.timeToLive == .seconds(40))
    try await store.put("a", "5", expiry: .at(milliseconds: TestClocks.epoch + 21_000))
    #expect(try await store.get("a")?.timeToLive == .seconds(1))
    test.clocks.advance(milliseconds: 1_000)
    try await store.put("a", "6", expiry: .keep)
    #expect(try await store.get("a")?.timeToLive == nil, "what has expired has no expiry to keep")
    try await store.put("a", "7", expiry: .after(.seconds(60)))
    try await store.put("a", "8")
    #expect(try await store.get("a")?.timeToLive == nil, "a put replaces")
    // A time that is past hides the key at once.
    try await store.put("a", "9", expiry: .at(milliseconds: 1))
    try await expectAbsent("a", in: store)
    try await store.close()
  }

  @Test func anUpdateKeepsAnExpiry() async throws {
    let test = try await ExpiringStore()
    let store = test.store
    try await store.put("a", "1", expiry: .after(.seconds(60)))
    try await store.update("a") { .put(($0?.text ?? "") + "1") }
    #expect(try await store.get("a")?.text == "11")
    #expect(try await store.get("a")?.timeToLive == .seconds(60))
    try await store.update("a") { current in
      #expect(current?.timeToLive == .seconds(60))
      return .put("slid", expiry: .after(.seconds(90)))
    }
    #expect(try await store.get("a")?.timeToLive == .seconds(90))
    test.clocks.advance(milliseconds: 90_000)
    try await store.update("a") { current in
      #expect(current == nil)
      return .put("anew")
    }
    #expect(try await store.get("a")?.timeToLive == nil)
    try await store.close()
  }

  @Test func batchesCarryExpiries() async throws {
    var test = try await ExpiringStore()
    try await test.store.put("kept", "1", expiry: .after(.seconds(5)))
    var batch = Batch()
    batch.put("a", "1", expiry: .after(.seconds(1)))
    batch.put("b", "2", expiry: .after(.seconds(2)))
    batch.put("c", "3")
    batch.put("kept", "2", expiry: .keep)
    batch.put("fresh", "1", expiry: .keep)
    batch.delete("none")
    #expect(try await test.store.write(batch).isApplied)
    for round in 0..<2 {
      let found = try await test.store.multiGet(["a", "b", "c", "kept", "fresh"])
      #expect(
        found.map { $0?.timeToLive } == [.seconds(1), .seconds(2), nil, .seconds(5), nil],
        "round \(round)")
      if round == 0 { try await test.crash() }
    }
    test.clocks.advance(milliseconds: 1_000)
    try await expectAbsent("a", in: test.store)
    #expect(try await test.store.get("b")?.timeToLive == .seconds(1))
    try await test.store.close()
  }

  /// An expired record is a tombstone already: a delete of it finds nothing, and writes nothing.
  @Test func aDeleteOfWhatHasExpiredFindsNothing() async throws {
    var test = try await ExpiringStore()
    try await test.store.put("a", "old")
    let last = try await test.store.put(
      "a", "1", expiry: .after(.seconds(1)), durability: .buffered)
    try await test.store.put("b", "1", expiry: .after(.seconds(2)))
    test.clocks.advance(milliseconds: 1_000)
    #expect(try await test.store.delete("a") == nil)
    #expect(test.store.statistics.lastSequence == last + 1)
    #expect(try await test.store.delete("b") == last + 2)
    test.clocks.setWall(TestClocks.epoch - TestClocks.day)
    try await test.crash()
    try await expectAbsent("a", in: test.store)
    try await expectAbsent("b", in: test.store)
    try await test.store.close()
  }

  @Test func boundsAreCheckedBeforeAnythingIsWritten() async throws {
    let test = try await ExpiringStore()
    let wrong: [Expiry] = [
      .after(.zero), .after(.seconds(-1)), .after(.nanoseconds(-1)),
      .after(.seconds(Int64.max)), .after(.seconds(1 << 60)), .at(milliseconds: 0),
      .at(milliseconds: .max),
    ]
    for expiry in wrong {
      let code = await API.code { try await test.store.put("a", "1", expiry: expiry) }
      #expect(code == .usage, "\(expiry)")
      var batch = Batch()
      batch.put("b", "1")
      batch.put("a", "1", expiry: expiry)
      #expect(await API.code { _ = try await test.store.write(batch) } == .usage)
      let refusal = await API.code {
        _ = try await test.store.put("a", "1", condition: .ifAbsent, expiry: expiry)
      }
      #expect(refusal == .usage)
    }
    #expect(test.store.statistics.lastSequence == 0)
    #expect(!test.store.core.clock.allowsExpiries, "not even the superblock was written for it")
    // The shortest counts, in whole milliseconds.
    try await test.store.put("a", "1", expiry: .after(.nanoseconds(1)))
    #expect(try await test.store.get("a")?.timeToLive == .milliseconds(1))
    try await test.store.put("a", "2", expiry: .after(.milliseconds(1 << 60)))
    #expect(try await test.store.get("a")?.timeToLive == .milliseconds(1 << 60))
    try await test.store.put("a", "3", expiry: .at(milliseconds: 1 << 62))
    #expect(try await test.store.get("a")?.text == "3")
    try await test.store.close()
  }
}
