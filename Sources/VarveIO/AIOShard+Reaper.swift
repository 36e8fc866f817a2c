import CVarveAIO
import Glibc
import Synchronization

extension AIOShard {
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

  /// The body of the reaper's thread: completes requests until the shard is closed, then destroys
  /// the context.
  func reapUntilClosed(_ context: consuming AIOContext) {
    // SAFETY: both belong to this function and outlive the loop; the kernel fills at most
    // `eventCapacity` events, and holds the wake iocb only while `isWakeArmed`.
    let events = UnsafeMutableBufferPointer<io_event>.allocate(capacity: Self.eventCapacity)
    let wakeBlock = UnsafeMutablePointer<iocb>.allocate(capacity: 1)
    unsafe wakeBlock.initialize(to: iocb())
    defer {
      unsafe events.deallocate()
      unsafe wakeBlock.deallocate()
    }
    var isWakeArmed = false
    var isFinished = false
    var nextScanNanoseconds = varve_monotonic_nanoseconds() + UInt64(Self.idleNanoseconds)
    // Once finished, only the poll is left with the kernel; its iocb is freed after its event.
    while !isFinished || isWakeArmed {
      if !isWakeArmed, !isFinished { isWakeArmed = unsafe armWake(wakeBlock) }
      let isImpatient =
        !isWakeArmed || isClosing.load(ordering: .acquiring)
        || queuedCount.load(ordering: .relaxed) != 0
      let count = unsafe context.reap(
        into: events,
        timeoutNanoseconds: isImpatient ? Self.retryNanoseconds : Self.idleNanoseconds)
      let now = varve_monotonic_nanoseconds()
      for index in 0..<count {
        if unsafe events[index].data == Self.wakeCookie {
          isWakeArmed = false
        } else {
          unsafe finish(events[index], nowNanoseconds: now)
        }
      }
      submitHeld()
      if now >= nextScanNanoseconds {
        reportSlowRequests(nowNanoseconds: now)
        nextScanNanoseconds = now + UInt64(Self.idleNanoseconds)
      }
      if !isFinished, isClosing.load(ordering: .acquiring), finishClosing() {
        isFinished = true
        wake()
      }
    }
    context.destroy()
  }

  /// Polls the eventfd through the context itself, so that one wait serves both.
  private func armWake(_ block: UnsafeMutablePointer<iocb>) -> Bool {
    // Cleared before polling: a signal from here on completes the poll.
    _ = varve_event_clear(wakeEvent)
    unsafe io_prep_poll(block, wakeEvent, Int32(POLLIN))
    unsafe block.pointee.data = Self.wakeCookie
    var pointer: UnsafeMutablePointer<iocb>? = unsafe block
    // Refused for lack of memory, or by an old kernel: the reaper then polls with short sleeps.
    return unsafe submitter.submit(&pointer, count: 1) == 1
  }

  /// Takes one completion: continues the request or completes it.
  private func finish(_ event: io_event, nowNanoseconds: UInt64) {
    let index = unsafe slots.index(of: event)
    reportIfSlow(index, nowNanoseconds: nowNanoseconds, isInFlight: false)
    let request = slots.disarm(index)
    slots.release(index)
    // libaio declares both results unsigned; the kernel means them signed.
    let (result, secondResult) = unsafe (Int(bitPattern: event.res), event.res2)
    let outcome = secondResult == 0 ? request.advance(result: result) : .failed(EIO)
    switch outcome {
    case .continued: resume(request)
    case .done:
      counters.countSuccess(of: request.operation, byteCount: request.byteCount)
      request.finish(errorNumber: 0)
    case .failed(let errorNumber):
      counters.countFailure()
      request.finish(errorNumber: errorNumber)
    }
  }

  private func reportSlowRequests(nowNanoseconds: UInt64) {
    for index in 0..<slots.capacity {
      reportIfSlow(index, nowNanoseconds: nowNanoseconds, isInFlight: true)
    }
  }

  private func reportIfSlow(_ index: Int, nowNanoseconds: UInt64, isInFlight: Bool) {
    guard
      let slow = slots.slowRequest(
        index, nowNanoseconds: nowNanoseconds,
        limitNanoseconds: options.slowRequestNanoseconds, isInFlight: isInFlight)
    else { return }
    counters.countSlowRequest()
    options.onSlowRequest?(slow)
  }
}
