// The thread of a ring: it alone submits to the ring and takes completions from it, with the system
// call in which it sleeps; while it completes requests it also submits what has gathered.

import CVarveAIO
import CVarveURing
import Synchronization

/// What that thread runs.
///
/// SAFETY: the completions are allocated in `init` and freed in `deinit`; the kernel does not see
/// them.
@safe struct IOUringLoop: ~Copyable {
  /// The most completions taken at once.
  private static let completionCapacity = 256
  /// How long the thread sleeps at most: as often it looks for requests that hang.
  private static let idleNanoseconds: Int64 = 1_000_000_000
  /// The cookie of the request that waits for the event; no slot has it.
  private static let wakeCookie = UInt64.max

  private let shard: IOUringShard
  private let ring: IOUring
  private var slots: IOUringSlots
  private let completions: UnsafeMutableBufferPointer<varve_uring_completion>
  private var isWakeArmed = false
  private var nextScanNanoseconds: UInt64

  /// On the thread that is to run it, and has enabled the ring.
  init(_ shard: IOUringShard, _ ring: consuming IOUring) {
    self.shard = shard
    self.ring = ring
    slots = IOUringSlots(capacity: shard.options.queueDepth)
    unsafe completions = .allocate(capacity: Self.completionCapacity)
    unsafe completions.initialize(repeating: varve_uring_completion())
    nextScanNanoseconds = varve_monotonic_nanoseconds() + UInt64(Self.idleNanoseconds)
  }

  deinit { unsafe completions.deallocate() }

  /// Submits and completes requests until the shard is closed.
  mutating func run() {
    var nowNanoseconds = varve_monotonic_nanoseconds()
    while true {
      // Before the queue is looked at: a signal that was cleared has brought us here.
      if !isWakeArmed { armWake() }
      prepareHeld(nowNanoseconds: nowNanoseconds, isBeforeSleep: true)
      // What is left with the kernel then is the event, which ends with the ring.
      if shard.isClosing.load(ordering: .acquiring), shard.finishClosing() { return }
      let count = unsafe ring.submitAndWait(
        into: completions, timeoutNanoseconds: Self.idleNanoseconds)
      shard.noteAwake()
      nowNanoseconds = varve_monotonic_nanoseconds()
      for position in 0..<count {
        unsafe finish(completions[position], nowNanoseconds: nowNanoseconds)
        // The device is given new work while the rest is being completed (measured: DESIGN.md).
        if (position + 1) % DeviceOptions.submissionBatchCount == 0 {
          prepareHeld(nowNanoseconds: nowNanoseconds, isBeforeSleep: false)
          ring.submit()
        }
      }
      if nowNanoseconds >= nextScanNanoseconds {
        for index in 0..<slots.capacity {
          reportIfSlow(index, nowNanoseconds: nowNanoseconds, isInFlight: true)
        }
        nextScanNanoseconds = nowNanoseconds + UInt64(Self.idleNanoseconds)
      }
    }
  }

  /// Prepares as many of the requests that wait as there are free slots, and submits all but the
  /// last group of them.
  private mutating func prepareHeld(nowNanoseconds: UInt64, isBeforeSleep: Bool) {
    var taken = shard.take(upTo: slots.freeCount, isBeforeSleep: isBeforeSleep)
    shard.inFlightCount.wrappingAdd(taken.count, ordering: .relaxed)
    while let request = taken.removeFirst() {
      unsafe ring.prepare(
        slots.arm(request, descriptor: shard.fileDescriptor, nanoseconds: nowNanoseconds))
      if taken.count > 0, taken.count % DeviceOptions.submissionBatchCount == 0 { ring.submit() }
    }
  }

  /// Waits for the event through the ring itself, so that one system call serves both.
  private mutating func armWake() {
    // Cleared before waiting: a signal from here on completes the request.
    _ = varve_event_clear(shard.wakeEvent)
    var request = unsafe varve_uring_request()
    unsafe request.operation = VARVE_URING_EVENT
    unsafe request.descriptor = shard.wakeEvent
    unsafe request.cookie = Self.wakeCookie
    unsafe ring.prepare(request)
    isWakeArmed = true
  }

  /// Takes one completion: continues the request or completes it.
  private mutating func finish(_ completion: varve_uring_completion, nowNanoseconds: UInt64) {
    guard completion.cookie != Self.wakeCookie else { return isWakeArmed = false }
    let index = slots.index(of: completion)
    reportIfSlow(index, nowNanoseconds: nowNanoseconds, isInFlight: false)
    let request = slots.disarm(index)
    shard.inFlightCount.wrappingSubtract(1, ordering: .relaxed)
    switch request.advance(result: Int(completion.result)) {
    case .continued: shard.resume(request)
    case .done:
      shard.counters.countSuccess(of: request.operation, byteCount: request.byteCount)
      request.finish(errorNumber: 0)
    case .failed(let errorNumber):
      shard.counters.countFailure()
      request.finish(errorNumber: errorNumber)
    }
  }

  private func reportIfSlow(_ index: Int, nowNanoseconds: UInt64, isInFlight: Bool) {
    guard
      let slow = slots.slowRequest(
        index, nowNanoseconds: nowNanoseconds,
        limitNanoseconds: shard.options.slowRequestNanoseconds, isInFlight: isInFlight)
    else { return }
    shard.counters.countSlowRequest()
    shard.options.onSlowRequest?(slow)
  }
}
