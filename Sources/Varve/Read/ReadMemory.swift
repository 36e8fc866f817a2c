// The memory that reads of records go to. It is bounded: whoever misses when all of it is in use
// suspends until another read has been delivered. Buffers are used again, so that in the steady
// state a read allocates none.
//
// Invariants:
// - What is out and what is kept for reuse take no more than the limit together; only a read that
//   is larger by itself goes beyond, alone.
// - Who waits here holds no buffer, so whatever is out comes back.
// - While tasks wait, newcomers wait behind them. A buffer that comes back gives the turn to the
//   first; who had the turn passes it on, whether it took a buffer or needed none any more.

import Synchronization
import VarveFormat

/// Buffers for reads, up to a bound.
final class ReadMemory: Sendable {
  /// The place of one who waits, or has waited and may try now.
  struct Turn {
    fileprivate let number: UInt64
  }

  private struct State {
    /// Bytes of buffers in the hands of reads.
    var usedByteCount = 0
    /// Bytes of buffers kept for reuse.
    var freeByteCount = 0
    /// Those buffers; the index is their pages less one.
    var free = [[PageBuffer]](repeating: [], count: ReadMemory.reusedPageCount)
    /// Who waits, by the number of the turn.
    var waiters: [UInt64: Waiter<Bool>] = [:]
    /// No smaller number waits.
    var firstNumber: UInt64 = 0
    var nextNumber: UInt64 = 0
  }

  let byteLimit: Int
  private let state = Mutex(State())

  init(byteLimit: Int) { self.byteLimit = byteLimit }

  /// Larger buffers are rare, and go back to the system.
  static let reusedPageCount = 16

  /// Bytes in use and kept.
  var byteCount: Int { state.withLock { $0.usedByteCount + $0.freeByteCount } }

  /// Tasks that wait for memory.
  var waiterCount: Int { state.withLock { $0.waiters.count } }

  /// A buffer of so many pages, or nil where the caller has to wait.
  func take(pageCount: Int, turn: Turn?) -> PageBuffer? {
    let byteCount = pageCount * Limits.pageByteCount
    let (isGranted, reused) = state.withLock { state -> (Bool, PageBuffer?) in
      guard turn != nil || state.waiters.isEmpty, fits(byteCount, state) else {
        return (false, nil)
      }
      state.usedByteCount += byteCount
      guard pageCount <= Self.reusedPageCount, let buffer = state.free[pageCount - 1].popLast()
      else {
        makeRoom(&state)
        return (true, nil)
      }
      state.freeByteCount -= byteCount
      return (true, buffer)
    }
    guard isGranted else { return nil }
    return reused ?? PageBuffer(byteCount: byteCount)
  }

  /// Takes back the buffer of a read that nobody waits for any more.
  func recycle(_ buffer: PageBuffer) {
    let pageCount = buffer.byteCount / Limits.pageByteCount
    let next = state.withLock { state -> Waiter<Bool>? in
      state.usedByteCount -= buffer.byteCount
      if pageCount <= Self.reusedPageCount,
        state.usedByteCount + state.freeByteCount + buffer.byteCount <= byteLimit
      {
        state.free[pageCount - 1].append(buffer)
        state.freeByteCount += buffer.byteCount
      }
      return nextInTurn(&state)
    }
    next?.resume(true)
  }

  /// Suspends until there may be room for so many pages. The caller then has the turn: it tries
  /// again, and waits again or calls `pass`.
  ///
  /// - Returns: false where the task is cancelled; it has no turn then.
  func wait(pageCount: Int, _ turn: inout Turn?) async -> Bool {
    let isNew = turn == nil
    let number =
      turn?.number
      ?? state.withLock { state in
        defer { state.nextNumber += 1 }
        return state.nextNumber
      }
    let hasTurn: Bool = await withTaskCancellationHandler {
      await suspend { waiter in
        let answer: Bool? = state.withLock { state in
          // The handler of a cancellation that came before this point has found no waiter.
          if Task.isCancelled { return false }
          // It came back between the attempt and this wait.
          if !isNew || state.waiters.isEmpty, fits(pageCount * Limits.pageByteCount, state) {
            return true
          }
          state.waiters[number] = waiter
          state.firstNumber = min(state.firstNumber, number)
          return nil
        }
        if let answer { waiter.resume(answer) }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: number) }?.resume(false)
    }
    if !hasTurn, !isNew { pass() }
    turn = hasTurn ? Turn(number: number) : nil
    return hasTurn
  }

  /// Lets the next one try, after one that had the turn has.
  func pass() {
    state.withLock { nextInTurn(&$0) }?.resume(true)
  }

  private func nextInTurn(_ state: inout State) -> Waiter<Bool>? {
    guard !state.waiters.isEmpty, fits(Limits.pageByteCount, state) else { return nil }
    while state.firstNumber < state.nextNumber {
      defer { state.firstNumber += 1 }
      if let waiter = state.waiters.removeValue(forKey: state.firstNumber) { return waiter }
    }
    return nil
  }

  /// Whether so much may be used. One read always may, however large.
  private func fits(_ byteCount: Int, _ state: borrowing State) -> Bool {
    state.usedByteCount == 0 || state.usedByteCount + byteCount <= byteLimit
  }

  /// Lets go of kept buffers, largest first, whose memory is needed.
  private func makeRoom(_ state: inout State) {
    var position = state.free.count
    while state.usedByteCount + state.freeByteCount > byteLimit, position > 0 {
      guard let buffer = state.free[position - 1].popLast() else {
        position -= 1
        continue
      }
      state.freeByteCount -= buffer.byteCount
    }
  }
}
