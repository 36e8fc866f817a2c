// When compaction works, how hard, and how fast writers may be meanwhile.

import Logging
import VarveFormat
import VarveIO

/// Somebody waits until nothing is worth moving.
struct CompactionRequest {
  var waiters: [WriteWaiter]
  /// What had been done when the last look at everything began.
  var progressBefore: Int
  /// Segments that had been freed by then, also by what others overwrite.
  var freedBefore: UInt64
  /// Looks at everything that may still follow on nothing but that: others may go on for ever.
  var recheckCount = 4
  /// Others go on writing, so what is worth moving may never end: each segment has one turn.
  let victimLimit: Int
}

extension Maintenance {
  /// How badly space is wanted, as the least share of a segment that a victim has to give back.
  enum MinimumYield {
    /// Nobody writes: what is half empty is put together.
    static let idle = 0.5
    /// Free segments are getting few, or somebody asks.
    static let low = 0.125
    /// A put would be refused.
    static let high = 0.03125
  }

  /// Free segments beyond the reserve below which compaction works beside the log.
  var compactionMargin: Int { max(3, Int(ledger.table.geometry.segmentCount / 64)) }

  private var isSpaceShort: Bool { ledger.headroom <= compactionMargin }

  /// The yield that the state of the store asks for; nil where there is space enough.
  var wantedYield: Double? {
    if isClosing { return nil }
    if ledger.headroom <= 1 { return MinimumYield.high }
    if isSpaceShort || isRequestUnderWay { return MinimumYield.low }
    return options.compactsWhenIdle && log.isIdle ? MinimumYield.idle : nil
  }

  /// Whether somebody waits for a compaction that may still choose victims.
  private var isRequestUnderWay: Bool {
    compactionRequest.map { compactor.victimCount < $0.victimLimit } ?? false
  }

  /// Takes compaction and the sweep as far as they come without waiting.
  func reclaim() async throws(IOError) {
    let wasIdle = compactor.isIdle
    try await compactor.advance(minimumYield: wantedYield)
    // Who waits for space learns at the next turn whether there is some to come.
    if compactor.isIdle, !wasIdle { signal.raise() }
    let isLooking = await sweeper.advance(isSpaceShort: isSpaceShort)
    if isLooking { signal.raise() }
    if !isLooking { try await goOnWithRequest() }
    pace()
  }

  /// Whether compaction or a sweep would free a segment if it were let.
  var canReclaim: Bool {
    compactor.canReclaim(minimumYield: MinimumYield.high) || sweeper.isUnderWay
      || sweeper.isDue(isSpaceShort: true)
  }

  // MARK: On request

  /// Takes up the request of somebody who waits until nothing is worth moving.
  func beginCompaction(_ waiter: WriteWaiter) async {
    guard !log.isPoisoned else { return waiter.resume(.poisonedStore) }
    do throws(IOError) {
      // What was deleted or overwritten before counts as dead from here on.
      if let error = try await settle(through: nil) { return waiter.resume(error) }
      // So does what has expired by now.
      if segments.indexedExpiryCount > 0 { try await writeSuperblock() }
    } catch {
      log.poison("a compaction could not begin: \(error)")
      return waiter.resume(.poisonedStore)
    }
    sweeper.demand()
    compactionRequest = CompactionRequest(
      waiters: (compactionRequest?.waiters ?? []) + [waiter],
      progressBefore: progressCount, freedBefore: freedCount,
      victimLimit: compactor.victimCount + Int(ledger.table.geometry.segmentCount))
    signal.raise()
  }

  /// Counts what compaction and the sweep have done.
  private var progressCount: Int { compactor.victimCount + sweeper.deadCount }

  private var freedCount: UInt64 { counters.value(counters.freedSegments) }

  /// Ends the request once nothing is left to do, and looks at everything again as long as looking
  /// has brought something.
  private func goOnWithRequest() async throws(IOError) {
    guard var request = compactionRequest else { return }
    let isSpent = compactor.victimCount >= request.victimLimit || compactor.isGivenUp
    if compactor.isIdle || compactor.isStuck || compactor.isGivenUp {
      let isDone =
        isSpent || compactor.isStuck || !compactor.canReclaim(minimumYield: MinimumYield.low)
      // What the sweep has found may be a victim at the next turn, and what the last copies have
      // emptied is freed first, so that its tombstones are looked at.
      guard isDone, !log.hasDeadSegments else {
        return compactor.waitsForRate ? () : signal.raise()
      }
      // DURABILITY: what others have superseded meanwhile dies once that is durable.
      if !isSpent, !compactor.undead.isEmpty, log.hasPendingDeaths {
        if let error = try await settle(through: nil) { return endRequest(error) }
        return signal.raise()
      }
      // What was freed since may have been all that a tombstone was needed for.
      let isRecheckDue = freedCount != request.freedBefore && request.recheckCount > 0
      if !isSpent, !compactor.isStuck,
        progressCount != request.progressBefore || isRecheckDue
      {
        if progressCount == request.progressBefore { request.recheckCount -= 1 }
        request.progressBefore = progressCount
        request.freedBefore = freedCount
        compactionRequest = request
        sweeper.demand()
        return signal.raise()
      }
      endRequest(nil)
    }
  }

  /// Tells whoever waits for a compaction how it ended.
  func endRequest(_ error: StoreError?) {
    let waiters = compactionRequest?.waiters ?? []
    compactionRequest = nil
    for waiter in waiters { waiter.resume(error) }
  }

  // MARK: Pacing

  /// Lets the log write no faster than compaction makes space, once space is short: free space then
  /// comes to rest where the share is 1, at three quarters of the margin, and writers wait for
  /// milliseconds rather than for a segment.
  ///
  /// - Returns: whether writers may go on that had to wait.
  @discardableResult
  func pace() -> Bool {
    let wonByteCount = compactor.wonByteCount
    compactor.wonByteCount = 0
    let headroom = max(0, ledger.headroom)
    guard headroom < compactionMargin,
      compactor.canReclaim(minimumYield: wantedYield ?? MinimumYield.low)
    else { return log.setIngestCredit(nil) }
    guard wonByteCount > 0 || !log.isPaced else { return false }
    // What is won is an estimate (a victim that is given up is counted again), and evens out here.
    let share = 0.25 + Double(headroom) / Double(compactionMargin)
    // A quarter of what is left is how far the log may be ahead, so that a pause of compaction, or
    // of the device, is not one of writers.
    let limit = max(
      Maintenance.minimumIngestCredit, headroom * ledger.table.geometry.segmentByteCount / 4)
    return log.addIngestCredit(Int(Double(wonByteCount) * share), upTo: limit)
  }

  /// Bytes of frames that puts may always be ahead of compaction.
  static let minimumIngestCredit = 1 << 20
}
