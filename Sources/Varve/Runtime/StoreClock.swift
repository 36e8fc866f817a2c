// The TTL clock. Its time is where this open began (`ClockStart`) plus monotonic time since.
//
// What a reader has seen expired must never come back, whatever the wall clock says after a crash.
// So the superblock holds a mark, and the next open begins no earlier than that.
//
// Invariants:
// - The time never goes back: not within an open, and not from one to the next.
// - A record counts as expired only once a mark at or above its expiry is durable. A mark that
//   somebody waits for is a little ahead of the time (`leadMilliseconds`), so that those who come
//   next need not wait; a crash brings the clock forward by no more than that, a close by nothing.
// - A record with an expiry is appended only once the superblock says durably that there may be
//   some: an open whose wall clock has jumped then knows that it matters.
// - Only `Maintenance` writes marks; whoever needs one asks here and is resumed.

import Synchronization
import VarveFormat

/// The clock by which records expire.
final class StoreClock: Sendable {
  /// What an expiry means now.
  enum Verdict {
    /// The record has a value.
    case live
    /// The record is a tombstone.
    case expired
    /// It is one as soon as the mark says so durably.
    case expiredUnrecorded
  }

  /// What somebody waits for.
  private enum Wish {
    /// A durable mark at or above this.
    case mark(UInt64)
    /// A superblock that says that there may be expiries.
    case expiries
  }

  private struct State {
    /// Why no mark is recorded any more; nil while that goes on.
    var end: StoreError?
    var waiters: [(token: UInt64, wish: Wish, waiter: WriteWaiter)] = []
    var nextToken: UInt64 = 0
  }

  /// How this open began.
  let start: ClockStart
  /// The mark that the open found or wrote.
  private let openMark: UInt64
  private let startNanoseconds: UInt64
  /// Time that never jumps, for measuring how long something takes.
  let monotonicNanoseconds: @Sendable () -> UInt64
  /// Wakes `Maintenance`.
  private let maintenance: Signal
  /// The durable mark; the highest number of all where none can be recorded.
  private let mark: Atomic<UInt64>
  private let expiriesAllowed: Atomic<Bool>
  private let isWanted = Atomic<Bool>(false)
  private let state = Mutex(State())

  /// How far a mark that somebody waits for is ahead of the time, and so the most by which a crash
  /// brings the clock forward. Under a steady stream of expiries one superblock is written for
  /// each.
  static let leadMilliseconds: UInt64 = 1_000
  /// While expiries are in use the mark is renewed once it is so far behind the time: the wall
  /// clock is compared with it after a crash.
  static let renewalMilliseconds: UInt64 = 60_000

  /// - Parameters:
  ///   - start: Where the clock begins.
  ///   - superblock: The one that is durable; its mark counts.
  ///   - canRecord: Whether marks can be written. In a store that is open for reading they cannot:
  ///     there, what expires does so unrecorded.
  ///   - environment: The source of time.
  ///   - maintenance: Wakes who writes marks.
  init(
    start: ClockStart, superblock: Superblock, canRecord: Bool, environment: StoreEnvironment,
    maintenance: Signal
  ) {
    self.start = start
    self.maintenance = maintenance
    monotonicNanoseconds = environment.monotonicNanoseconds
    startNanoseconds = environment.monotonicNanoseconds()
    openMark = superblock.clockMilliseconds
    mark = Atomic(canRecord ? superblock.clockMilliseconds : UInt64.max)
    expiriesAllowed = Atomic(superblock.hasExpiries)
  }

  /// The time, in milliseconds since 1970.
  var milliseconds: UInt64 {
    let now = monotonicNanoseconds()
    let elapsed = now > startNanoseconds ? now - startNanoseconds : 0
    return min(start.milliseconds + elapsed / 1_000_000, Limits.maximumCounter)
  }

  /// The time as frames carry it: in a store without expiries that is the mark that was found, so
  /// that a wall clock that is wrong now leaves no trace.
  var stampMilliseconds: UInt64 {
    expiriesAllowed.load(ordering: .relaxed) ? milliseconds : openMark
  }

  /// The durable mark, in milliseconds since 1970.
  var markMilliseconds: UInt64 { mark.load(ordering: .acquiring) }

  /// Whether records with an expiry may be written.
  var allowsExpiries: Bool { expiriesAllowed.load(ordering: .acquiring) }

  /// What an expiry other than 0 means now.
  func verdict(_ expiryMilliseconds: UInt64) -> Verdict {
    // The time first: `stamp` relies on it.
    let now = milliseconds
    let recorded = mark.load(ordering: .sequentiallyConsistent)
    if recorded < now, now - recorded > StoreClock.renewalMilliseconds { want() }
    guard expiryMilliseconds <= now else { return .live }
    return expiryMilliseconds <= recorded ? .expired : .expiredUnrecorded
  }

  /// The moment that an expiry names, 0 for none; that of `.keep` is the record's own.
  ///
  /// - Throws: `usage` where it is out of bounds.
  func moment(of expiry: Expiry) throws(StoreError) -> UInt64 {
    switch expiry {
    case .never, .keep: return 0
    case .at(let milliseconds):
      guard (1...Limits.maximumCounter).contains(milliseconds) else {
        throw StoreError(
          .usage, "an expiry lies from 1 to 2^62 milliseconds after 1970, not at \(milliseconds)")
      }
      return milliseconds
    case .after(let duration):
      guard duration > .zero else {
        throw StoreError(.usage, "a record expires after more than no time, not after \(duration)")
      }
      let (seconds, attoseconds) = duration.components
      let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
      let (whole, overflows) = UInt64(seconds).multipliedReportingOverflow(by: 1000)
      // Each of the two is at most 2^62, and the part of a second is no matter.
      guard !overflows, whole <= Limits.maximumCounter,
        milliseconds + whole + UInt64(part) <= Limits.maximumCounter
      else {
        throw StoreError(.usage, "an expiry after \(duration) is too far away: use none")
      }
      return milliseconds + whole + UInt64(part)
    }
  }

  /// What is left until an expiry that has not come, at least a millisecond.
  func remaining(until expiryMilliseconds: UInt64) -> Duration {
    let now = milliseconds
    return .milliseconds(expiryMilliseconds > now ? expiryMilliseconds - now : 1)
  }

  // MARK: Who needs a mark

  /// Waits until a mark at or above an expiry that has come is durable. Where none can be written
  /// because the store is poisoned, the record has expired all the same.
  ///
  /// - Throws: `cancelled`, `closed`.
  func record(through expiryMilliseconds: UInt64) async throws(StoreError) {
    if let error = await wait(for: .mark(expiryMilliseconds)), error.code != .poisoned {
      throw error
    }
  }

  /// Waits until records with an expiry may be written: once in the life of a store for more than
  /// a load from memory.
  ///
  /// - Throws: why none may; `cancelled`.
  func allowExpiries() async throws(StoreError) {
    guard !allowsExpiries else {
      let recorded = mark.load(ordering: .relaxed)
      let now = milliseconds
      if recorded < now, now - recorded > StoreClock.renewalMilliseconds { want() }
      return
    }
    if let error = await wait(for: .expiries) { throw error }
  }

  private func want() {
    guard !isWanted.exchange(true, ordering: .acquiringAndReleasing) else { return }
    maintenance.raise()
  }

  private func wait(for wish: Wish) async -> StoreError? {
    let token = state.withLock { state in
      defer { state.nextToken += 1 }
      return state.nextToken
    }
    return await withTaskCancellationHandler {
      await suspend { (waiter: WriteWaiter) in
        let answer: StoreError?? = state.withLock { state in
          if isGranted(wish) { return .some(nil) }
          if let end = state.end { return end }
          // The handler of a cancellation that came before this point has found no waiter.
          if Task.isCancelled { return StoreError.cancelledTask }
          state.waiters.append((token, wish, waiter))
          return nil
        }
        if let answer { waiter.resume(answer) } else { want() }
      }
    } onCancel: {
      let waiter: WriteWaiter? = state.withLock { state in
        guard let position = state.waiters.firstIndex(where: { $0.token == token }) else {
          return nil
        }
        return state.waiters.remove(at: position).waiter
      }
      waiter?.resume(.cancelledTask)
    }
  }

  private func isGranted(_ wish: Wish) -> Bool {
    switch wish {
    case .mark(let wanted): mark.load(ordering: .acquiring) >= wanted
    case .expiries: expiriesAllowed.load(ordering: .acquiring)
    }
  }

  // MARK: Who writes marks

  /// Whether somebody wants a mark, asked by `Maintenance`, which then writes the superblock.
  func takeRequest() -> Bool {
    isWanted.load(ordering: .relaxed) && isWanted.exchange(false, ordering: .acquiringAndReleasing)
  }

  /// Sets what the next superblock says of the clock.
  func stamp(_ superblock: inout Superblock) {
    let (wantsExpiries, wantsLead) = state.withLock { state in
      (
        state.waiters.contains { if case .expiries = $0.wish { true } else { false } },
        state.waiters.contains { if case .mark = $0.wish { true } else { false } }
      )
    }
    if wantsExpiries { superblock.hasExpiries = true }
    guard superblock.hasExpiries else { return }
    guard superblock.shutdown == .open else {
      // DURABILITY: nobody uses a time later than the one that a close writes. Whoever looks at
      // the mark from here on finds none, and waits for this one or fails with `closed`; whoever
      // looked before had read an earlier time.
      mark.store(0, ordering: .sequentiallyConsistent)
      superblock.clockMilliseconds = milliseconds
      return
    }
    let lead = wantsLead ? StoreClock.leadMilliseconds : 0
    superblock.clockMilliseconds = max(
      superblock.clockMilliseconds, min(milliseconds + lead, Limits.maximumCounter))
  }

  /// Learns what is durable.
  ///
  /// DURABILITY: called after the superblock has been flushed in at least three copies, so every
  /// later election finds this mark or a higher one. Only now may what expired by then be treated
  /// as expired.
  func recorded(_ superblock: Superblock) {
    let granted = state.withLock { state in
      guard state.end == nil else { return [] as [WriteWaiter] }
      mark.store(superblock.clockMilliseconds, ordering: .releasing)
      if superblock.hasExpiries { expiriesAllowed.store(true, ordering: .releasing) }
      let granted = state.waiters.filter { isGranted($0.wish) }.map(\.waiter)
      state.waiters.removeAll { isGranted($0.wish) }
      return granted
    }
    for waiter in granted { waiter.resume(nil) }
  }

  /// No mark is written from now on. In a poisoned store, which is still read, what expires does so
  /// unrecorded; no record that has an expiry is the first.
  func stopRecording(_ reason: StoreError) {
    let waiters = state.withLock { state in
      state.end = state.end ?? reason
      if reason.code == .poisoned { mark.store(UInt64.max, ordering: .releasing) }
      defer { state.waiters = [] }
      return state.waiters.map(\.waiter)
    }
    for waiter in waiters { waiter.resume(reason) }
  }
}
