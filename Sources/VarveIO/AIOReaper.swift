// The reaping half of a shard, in the hands of the one thread that owns its context: a thread that
// does nothing else (`AIOShard.reapUntilClosed`), or a loop that runs tasks in between (`IOLoop`).
//
// Waiting is one io_getevents for transfers and for whatever else wakes the thread: a poll of the
// shard's eventfd lies in the same context.

import CVarveAIO
import Glibc
import Synchronization

/// Completes the requests of a shard until that is closed.
@safe struct AIOReaper: ~Copyable {
  private let shard: AIOShard
  private let context: AIOContext
  // SAFETY: both are allocated in `init` and freed in `deinit`; the kernel fills at most
  // `eventCapacity` events, and holds the wake iocb only while `isWakeArmed`, which is false once
  // `goesOn` has returned false.
  private let events: UnsafeMutableBufferPointer<io_event>
  private let wakeBlock: UnsafeMutablePointer<iocb>
  private(set) var isWakeArmed = false
  private var isFinished = false
  private var nextScanNanoseconds: UInt64

  /// The most events taken at once.
  private static let eventCapacity = 256
  /// How long the reaper sleeps at most: as often it looks for requests that hang.
  private static let idleNanoseconds: Int64 = 1_000_000_000
  /// How long it sleeps while held requests wait for room in the kernel, or while it closes.
  private static let retryNanoseconds: Int64 = 10_000_000
  /// The cookie of the iocb that polls the eventfd; no slot has it.
  private static var wakeCookie: UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: UInt.max)
  }

  init(_ shard: AIOShard, _ context: consuming AIOContext) {
    self.shard = shard
    self.context = context
    unsafe events = .allocate(capacity: Self.eventCapacity)
    unsafe wakeBlock = .allocate(capacity: 1)
    unsafe wakeBlock.initialize(to: iocb())
    nextScanNanoseconds = varve_monotonic_nanoseconds() + UInt64(Self.idleNanoseconds)
  }

  deinit {
    unsafe events.deallocate()
    unsafe wakeBlock.deallocate()
  }

  /// Has signals end the next wait. It clears those that came before, so it is called before the
  /// thread looks at what they are about: a signal that it takes away is never the only word of
  /// something new.
  mutating func arm() {
    if !isWakeArmed, !isFinished { isWakeArmed = armWake() }
  }

  /// Takes completions, waiting for one where `mayWait`, and submits what waited for room.
  mutating func reap(mayWait: Bool) {
    let isImpatient =
      !isWakeArmed || shard.isClosing.load(ordering: .acquiring)
      || shard.queuedCount.load(ordering: .relaxed) != 0
    let count = unsafe context.reap(
      into: events, minimumCount: mayWait ? 1 : 0,
      timeoutNanoseconds: isImpatient ? Self.retryNanoseconds : Self.idleNanoseconds)
    let now = varve_monotonic_nanoseconds()
    for index in 0..<count {
      if unsafe events[index].data == Self.wakeCookie {
        isWakeArmed = false
      } else {
        unsafe shard.finish(events[index], nowNanoseconds: now)
      }
    }
    shard.submitHeld()
    if now >= nextScanNanoseconds {
      shard.reportSlowRequests(nowNanoseconds: now)
      nextScanNanoseconds = now + UInt64(Self.idleNanoseconds)
    }
  }

  /// Closes the shard where that has been asked for and all is done that was accepted: whoever
  /// stages requests submits them before.
  ///
  /// - Returns: false once the shard is closed and nothing is with the kernel any more.
  mutating func goesOn() -> Bool {
    if !isFinished, shard.isClosing.load(ordering: .acquiring), shard.finishClosing() {
      isFinished = true
      shard.wake()
    }
    // Once finished, only the poll is left with the kernel; its iocb is freed after its event.
    return !isFinished || isWakeArmed
  }

  /// Polls the eventfd through the context itself, so that one wait serves both.
  private func armWake() -> Bool {
    // Cleared before polling: a signal from here on completes the poll.
    _ = varve_event_clear(shard.wakeEvent)
    unsafe io_prep_poll(wakeBlock, shard.wakeEvent, Int32(POLLIN))
    unsafe wakeBlock.pointee.data = Self.wakeCookie
    var pointer: UnsafeMutablePointer<iocb>? = unsafe wakeBlock
    // Refused for lack of memory, or by an old kernel: the reaper then polls with short sleeps.
    return unsafe shard.submitter.submit(&pointer, count: 1) == 1
  }
}
