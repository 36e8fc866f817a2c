// One context of an AIO device: its slots, its queue of requests held back, and the thread that
// reaps it. The submitting half; the reaping half is in AIOReaper.swift and AIOShard+Reaper.swift.
//
// A request's way: the caller claims a slot → arms the iocb → io_submit on the caller's own thread
// → kernel → the reaper disarms and frees the slot → `complete`. Without a free slot it waits in
// the queue, and whoever frees slots submits it.
//
// Invariants:
// - Every accepted request is in exactly one place: the queue, a slot, or on its way to `complete`.
// - No request waits in the queue while a slot is free and nobody is about to look: whoever queues
//   looks for a slot afterwards, and whoever frees a slot looks at the queue afterwards.
// - While requests wait, newcomers queue behind them: nobody is starved.

import CVarveAIO
import Glibc
import Synchronization

// SAFETY: all state is atomic, behind the mutex, or in the slot table with its own rule;
// `submitter` is used only while a slot is held.
@safe final class AIOShard: @unchecked Sendable {
  /// Requests held back; closed once the shard accepts nothing any more.
  struct Queue: ~Copyable {
    var requests = RequestQueue()
    var isClosed = false
  }

  let slots: SlotTable
  let submitter: AIOSubmitter
  let fileDescriptor: Int32
  let wakeEvent: Int32
  let options: DeviceOptions
  let counters = DeviceCounters()
  let isClosing = Atomic<Bool>(false)
  /// The length of the queue; changed only with the queue locked.
  let queuedCount = Atomic<Int>(0)
  private let queue = Mutex(Queue())
  /// Opens once the thread of a loop has destroyed the context.
  let ended = Latch()
  /// Counts its users: it is open for as long as the shard may submit.
  let file: SharedFile

  init(
    submitter: AIOSubmitter, wakeEvent: Int32, file: SharedFile, options: DeviceOptions
  ) {
    slots = SlotTable(capacity: options.queueDepth)
    self.submitter = submitter
    self.wakeEvent = wakeEvent
    self.file = file
    fileDescriptor = file.descriptor
    self.options = options
  }

  deinit { _ = close(wakeEvent) }

  // MARK: Submitting, on any thread

  /// Accepts requests whose range has been checked.
  func submit(_ requests: ArraySlice<IORequest>) {
    var position = requests.startIndex
    while position < requests.endIndex {
      guard queuedCount.load(ordering: .relaxed) == 0,
        let claim = slots.claim(
          upTo: min(DeviceOptions.submissionBatchCount, requests.endIndex - position),
          startingAt: slotHint)
      else {
        for request in requests[position...] { hold(request) }
        return submitHeld()
      }
      position += claim.mask.nonzeroBitCount
      var next = position - claim.mask.nonzeroBitCount
      launch(claim) {
        next += 1
        return requests[next - 1]
      }
    }
  }

  /// Accepts one request whose range has been checked.
  func submit(_ request: IORequest) {
    guard queuedCount.load(ordering: .relaxed) == 0,
      let claim = slots.claim(upTo: 1, startingAt: slotHint)
    else {
      hold(request)
      return submitHeld()
    }
    launch(claim) { request }
  }

  private var slotHint: Int { Int(varve_thread_tag() >> 8) }

  /// Queues a request; the caller then calls `submitHeld`, because slots may have become free.
  private func hold(_ request: IORequest) {
    let refusal = queue.withLock { queue in
      if queue.isClosed { return ESHUTDOWN }
      if queue.requests.count >= DeviceOptions.maximumQueuedCount { return EAGAIN }
      queue.requests.append(request)
      queuedCount.store(queue.requests.count, ordering: .sequentiallyConsistent)
      return 0
    }
    guard refusal != 0 else { return }
    counters.countFailure()
    request.finish(errorNumber: refusal)
  }

  /// Submits held requests for as long as there are free slots.
  func submitHeld() {
    while queuedCount.load(ordering: .sequentiallyConsistent) != 0 {
      var group = RequestQueue()
      let claim = queue.withLock { queue -> SlotClaim? in
        let limit = min(queue.requests.count, DeviceOptions.submissionBatchCount)
        guard limit > 0, let claim = slots.claim(upTo: limit, startingAt: slotHint) else {
          return nil
        }
        for _ in 0..<claim.mask.nonzeroBitCount {
          if let request = queue.requests.removeFirst() { group.append(request) }
        }
        queuedCount.store(queue.requests.count, ordering: .sequentiallyConsistent)
        return claim
      }
      guard let claim else { return }
      let wasAccepted = launch(claim) {
        guard let request = group.removeFirst() else {
          preconditionFailure("as many requests are taken as slots are claimed")
        }
        return request
      }
      if !wasAccepted { return }
    }
  }

  /// Arms the claimed slots with the next requests and hands them to the kernel.
  ///
  /// Returns false when the kernel had no room: the requests are back in the queue, the reaper
  /// tries again after it has reaped, and the caller must not try again by itself.
  @discardableResult
  func launch(_ claim: SlotClaim, next: () -> IORequest) -> Bool {
    let startNanoseconds = varve_monotonic_nanoseconds()
    let wasAccepted = unsafe withUnsafeTemporaryAllocation(
      of: UnsafeMutablePointer<iocb>?.self, capacity: DeviceOptions.submissionBatchCount
    ) { blocks in
      var claim = claim
      var count = 0
      while let index = claim.next() {
        let block = unsafe slots.arm(
          index, next(), descriptor: fileDescriptor, nanoseconds: startNanoseconds)
        unsafe blocks.initializeElement(at: count, to: block)
        count += 1
      }
      return unsafe push(UnsafeMutableBufferPointer(rebasing: blocks[..<count]))
    }
    counters.noteSubmit(nanoseconds: varve_monotonic_nanoseconds() - startNanoseconds)
    return wasAccepted
  }

  /// Calls io_submit until the kernel has taken or refused every iocb.
  ///
  /// SAFETY: an iocb that the kernel has taken may be reused at once; only those from `done` on,
  /// which are still ours, are touched.
  private func push(_ blocks: UnsafeMutableBufferPointer<UnsafeMutablePointer<iocb>?>) -> Bool {
    guard let base = blocks.baseAddress else { return true }
    var done = 0
    while done < blocks.count {
      let result = unsafe submitter.submit(base + done, count: blocks.count - done)
      switch result {
      case 1...: done += result
      case -Int(EINTR): continue
      case 0, -Int(EAGAIN):
        unsafe takeBack(UnsafeMutableBufferPointer(rebasing: blocks[done...]))
        return false
      default:
        // The kernel refuses the first of those that it was given: that one fails alone.
        if let block = unsafe blocks[done] {
          let index = unsafe slots.index(of: block)
          let request = slots.disarm(index)
          slots.release(index)
          counters.countFailure()
          request.finish(errorNumber: Int32(truncatingIfNeeded: -result))
          // Somebody may have looked for a slot in vain before this one was free.
          if queuedCount.load(ordering: .sequentiallyConsistent) != 0 { wake() }
        }
        done += 1
      }
    }
    return true
  }

  /// Puts armed requests back at the head of the queue, in their order, and tells the reaper.
  private func takeBack(_ blocks: UnsafeMutableBufferPointer<UnsafeMutablePointer<iocb>?>) {
    queue.withLock { queue in
      for position in blocks.indices.reversed() {
        guard let block = unsafe blocks[position] else { continue }
        let index = unsafe slots.index(of: block)
        queue.requests.prepend(slots.disarm(index))
        slots.release(index)
      }
      queuedCount.store(queue.requests.count, ordering: .sequentiallyConsistent)
    }
    wake()
  }

  /// Goes on with a request of which the kernel transferred only a part.
  func resume(_ request: IORequest) {
    queue.withLock { queue in
      queue.requests.prepend(request)
      queuedCount.store(queue.requests.count, ordering: .sequentiallyConsistent)
    }
    // The reaper, which alone calls this, submits what is held at the end of its pass.
  }

  // MARK: Closing

  /// Wakes the reaper.
  func wake() {
    let result = varve_event_signal(wakeEvent)
    precondition(result == 0, "signalling an eventfd failed with errno \(-result)")
  }

  /// Lets the reaper finish what has been accepted and end.
  func beginClosing() {
    isClosing.store(true, ordering: .sequentiallyConsistent)
    wake()
  }

  /// Lets go of the file, once the thread of a loop has destroyed the context.
  func end() {
    file.removeUser()
    ended.open()
  }

  /// Closes the shard for good if nothing is queued or in flight.
  func finishClosing() -> Bool {
    queue.withLock { queue in
      guard queue.requests.count == 0, slots.claimAll() else { return false }
      queue.isClosed = true
      return true
    }
  }
}
