import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// The TTL clock over opens, crashes and wall clocks that jump.
@Suite struct ExpiryClockTests {
  private let epoch = TestClocks.epoch
  private let day = TestClocks.day

  private func superblock(_ device: RAMDevice) throws -> Superblock {
    let page = device.image.read(at: 0, byteCount: 4096)
    return try Superblock(decoding: page.span.bytes, at: PageIndex(0))
  }

  @Test func aWallClockBehindTheMarkSaysNothing() async throws {
    var test = try await ExpiringStore()
    try await test.store.put("a", "1", expiry: .after(.seconds(60)))
    test.clocks.advance(milliseconds: 30_000)
    test.clocks.setWall(1_000)
    #expect(try await test.store.get("a")?.timeToLive == .seconds(30), "monotonic time counts")
    try await test.reopen()
    #expect(test.store.recoveryReport.heldClockJumpSeconds == nil)
    #expect(try await test.store.get("a")?.timeToLive == .seconds(30))
    test.clocks.advance(milliseconds: 30_000)
    try await expectAbsent("a", in: test.store)
    try await test.store.close()
  }

  @Test func aWallClockFarAheadNeedsConfirmation() async throws {
    let log = CapturedLog()
    var options = Harness.options
    options.logger = log.logger
    var test = try await ExpiringStore(options: options)
    try await test.store.put("a", "1", expiry: .after(.seconds(60)))
    try await test.store.close()
    test.clocks.setWall(epoch + 400 * day)
    for isReadOnly in [true, false] {
      try await test.reopen(readOnly: isReadOnly)
      #expect(test.store.recoveryReport.heldClockJumpSeconds == 34_560_000.0)
      #expect(test.store.recoveryReport.clockMilliseconds == epoch)
      #expect(log.text.contains("clockHeld") && log.text.contains("recover --accept-clock"))
      #expect(try await test.store.get("a")?.timeToLive == .seconds(60))
    }
    // Time goes on from the mark, and no further with the next open.
    test.clocks.advance(milliseconds: 20_000)
    #expect(try await test.store.get("a")?.timeToLive == .seconds(40))
    try await test.crash()
    let left = try #require(try await test.store.get("a")?.timeToLive)
    #expect(left <= .seconds(60) && left >= .seconds(38))
    try await test.reopen(.accept)
    #expect(test.store.recoveryReport.heldClockJumpSeconds == nil)
    #expect(test.store.recoveryReport.clockMilliseconds == epoch + 400 * day + 20_000)
    try await expectAbsent("a", in: test.store)
    // Accepted is accepted: a wall clock that was wrong after all brings nothing back.
    test.clocks.setWall(epoch)
    try await test.crash()
    try await expectAbsent("a", in: test.store)
    try await test.store.close()
  }

  @Test func aStoreThatWasClosedForWeeksAsksNobody() async throws {
    var test = try await ExpiringStore()
    try await test.store.put("a", "1", expiry: .after(.seconds(60)))
    try await test.store.close()
    test.clocks.setWall(epoch + 28 * day)
    try await test.reopen()
    #expect(test.store.recoveryReport.heldClockJumpSeconds == nil)
    try await expectAbsent("a", in: test.store)
    try await test.store.close()
  }

  /// Nobody is asked about a clock on which nothing depends, and it leaves no trace.
  @Test func withoutExpiriesEveryClockIsBelievedAndNoneIsStored() async throws {
    var test = try await ExpiringStore()
    try await test.store.put("a", "1")
    test.clocks.setWall(epoch + 40_000 * day)
    try await test.reopen()
    #expect(test.store.recoveryReport.heldClockJumpSeconds == nil)
    try await test.store.put("b", "1")
    try await test.store.close()
    #expect(try superblock(test.device).clockMilliseconds == epoch)
    #expect(try superblock(test.device).hasExpiries == false)
    // The machine has been put right: the first expiry goes by that.
    test.clocks.setWall(epoch + day)
    try await test.reopen()
    try await test.store.put("a", "2", expiry: .after(.seconds(60)))
    #expect(try superblock(test.device).hasExpiries)
    #expect(test.store.statistics.clockMilliseconds == epoch + day)
    try await test.store.close()
  }

  /// The superblock says that there are expiries before the first record with one can be found.
  @Test func theFirstExpiryIsAnnouncedDurably() async throws {
    let clocks = TestClocks()
    let device = SimulatedDevice(
      image: try await Harness.formatted(), faults: FaultPlan(), seed: 5, delivery: .background)
    let store = try await Store.open(
      device: device, options: Harness.options, environment: clocks.environment)
    let start = device.eventCount
    try await store.put("a", "1", expiry: .after(.seconds(60)), durability: .buffered)
    try await store.sync()
    let history = device.history
    try await store.close()
    clocks.setWall(epoch + 4_000 * day)
    var foundCount = 0
    let images = CrashEnumerator(
      history, crash: .power, boundaries: start...history.events.count, seed: 5)
    for image in images {
      let reopened = try await Store.open(
        device: image.makeDevice(delivery: .inline), options: Harness.options,
        environment: clocks.environment)
      if try await reopened.get("a") != nil {
        foundCount += 1
        #expect(reopened.recoveryReport.heldClockJumpSeconds != nil)
      } else {
        #expect(reopened.statistics.keyCount == 0, "a jump that was believed took the record")
      }
      try await reopened.close()
    }
    #expect(foundCount > 0)
  }

  /// What a reader has seen expired stays so after any crash, however the wall clock is set: the
  /// reader waits for a mark that says so.
  @Test(arguments: [true, false]) func whatWasSeenExpiredNeverComesBack(
    isConditional: Bool
  ) async throws {
    let clocks = TestClocks()
    let device = SimulatedDevice(
      image: try await Harness.formatted(), faults: FaultPlan(), seed: 6, delivery: .background)
    let store = try await Store.open(
      device: device, options: Harness.options, environment: clocks.environment)
    try await store.put("a", "old")
    try await store.put("a", "new", expiry: .after(.seconds(60)))
    let start = device.eventCount
    clocks.advance(milliseconds: 60_000)
    if isConditional {
      // Lost in most images: then its word that the key was absent must hold all the same.
      let outcome = try await store.put(
        "a", "newer", condition: .ifAbsent, expiry: .at(milliseconds: 1), durability: .buffered)
      #expect(outcome.isApplied)
    } else {
      #expect(try await store.get("a") == nil)
    }
    let seen = device.eventCount
    #expect(seen > start, "the mark was written first")
    try await store.put("b", "1")
    let history = device.history
    try await store.close()
    clocks.setWall(epoch)
    for crash in Crash.allCases {
      let images = CrashEnumerator(
        history, crash: crash, boundaries: start...history.events.count, seed: 6)
      for image in images {
        let reopened = try await Store.open(
          device: image.makeDevice(delivery: .inline), options: Harness.options,
          environment: clocks.environment)
        let found = try await reopened.get("a")
        #expect(found == nil || found?.text == "new" && image.eventIndex < seen, "\(image.summary)")
        try await reopened.close()
      }
    }
  }

  /// A crash brings the clock forward by the lead at most, and many expiries need one mark.
  @Test func theMarkIsALittleAhead() async throws {
    var test = try await ExpiringStore()
    for number in 0..<100 {
      try await test.store.put("\(number)", "1", expiry: .after(.milliseconds(1_000 + number)))
    }
    let before = try superblock(test.device).version
    for number in 0..<100 {
      test.clocks.advance(milliseconds: number == 0 ? 1_000 : 1)
      #expect(try await test.store.get("\(number)") == nil)
    }
    #expect(try superblock(test.device).version == before + 1)
    let now = test.store.statistics.clockMilliseconds
    try await test.crash()
    let after = test.store.recoveryReport.clockMilliseconds
    #expect(after >= now && after <= now + StoreClock.leadMilliseconds)
    try await test.store.close()
  }

  /// The mark keeps up with use, so that a crash after months asks nobody.
  @Test func useRenewsTheMark() async throws {
    var test = try await ExpiringStore()
    try await test.store.put("a", "1", expiry: .after(.seconds(90 * 86_400)))
    for _ in 0..<3 {
      test.clocks.advance(milliseconds: 20 * day)
      #expect(try await test.store.get("a") != nil)
      let now = test.store.statistics.clockMilliseconds
      let clock = test.store.core.clock
      await API.until { clock.markMilliseconds >= now }
    }
    try await test.crash()
    #expect(test.store.recoveryReport.heldClockJumpSeconds == nil)
    #expect(try await test.store.get("a") != nil)
    try await test.store.close()
  }

  /// Where no mark can be written, what expires is gone all the same.
  @Test func withoutAMarkRecordsExpireUnrecorded() async throws {
    var test = try await ExpiringStore()
    try await test.store.put("a", "1", expiry: .after(.seconds(60)))
    try await test.reopen(readOnly: true)
    test.clocks.advance(milliseconds: 60_000)
    try await expectAbsent("a", in: test.store)
    try await test.reopen()
    try await test.store.put("a", "1", expiry: .after(.seconds(60)))
    test.store.core.log.poison("a test says so")
    test.clocks.advance(milliseconds: 60_000)
    try await expectAbsent("a", in: test.store)
    let code = await API.code {
      try await test.store.put("a", "1", expiry: .after(.seconds(1)))
    }
    #expect(code == .poisoned)
    try? await test.store.close()
  }

  @Test func aReaderThatWaitsForTheMarkCanBeCancelled() async throws {
    let clocks = TestClocks()
    let device = HoldingDevice(RAMDevice(byteCount: 2 << 20))
    try await Store.format(
      device: device, options: FormatOptions(segmentByteCount: Harness.segmentByteCount),
      environment: clocks.environment)
    let store = try await Store.open(
      device: device, options: Harness.options, environment: clocks.environment)
    try await store.put("a", "1", expiry: .after(.seconds(60)))
    clocks.advance(milliseconds: 60_000)
    device.hold([.write])
    let reader = Task { try await store.get("a") }
    await API.until { device.heldCount > 0 }
    reader.cancel()
    let code = await API.code { _ = try await reader.value }
    #expect(code == .cancelled)
    let other = Task { try await store.get("a") }
    device.release()
    #expect(try await other.value == nil)
    try await store.close()
  }

  @Test func whereTheClockBegins() {
    func start(
      mark: UInt64, wall: UInt64, hasExpiries: Bool = true, jump: ClockJump = .hold
    ) -> (UInt64, UInt64?) {
      let start = ClockStart(
        markMilliseconds: mark, wallMilliseconds: wall, hasExpiries: hasExpiries, jump: jump,
        boundMilliseconds: 100)
      return (start.milliseconds, start.heldJumpMilliseconds)
    }
    #expect(start(mark: 50, wall: 40) == (50, nil))
    #expect(start(mark: 50, wall: 150) == (150, nil))
    #expect(start(mark: 50, wall: 151) == (50, 101))
    #expect(start(mark: 50, wall: 151, jump: .accept) == (151, nil))
    #expect(start(mark: 50, wall: 151, hasExpiries: false) == (151, nil))
    #expect(start(mark: .max, wall: 0) == (Limits.maximumCounter, nil))
    #expect(start(mark: 0, wall: .max).1 == Limits.maximumCounter)
  }

  @Test func theBoundHasBounds() async throws {
    for seconds in [-1, .nan, .infinity, 2e9] {
      var options = Harness.options
      options.clockJumpBoundSeconds = seconds
      let code = await API.code {
        _ = try await Store.open(device: try await API.formatted(), options: options)
      }
      #expect(code == .usage)
      let path = await API.code { _ = try await Store.open(path: "/none", options: options) }
      #expect(path == .usage)
    }
  }
}
