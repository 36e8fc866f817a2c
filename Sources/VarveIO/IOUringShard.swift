// One ring of an io_uring device, as callers see it: a queue, and the event that wakes the ring's
// thread. The thread itself is IOUringLoop.
//
// A request's way: the caller queues it and wakes the thread if that sleeps → the thread takes all
// that there is room for, prepares it and submits it with the call in which it waits → kernel → the
// thread takes the completion → `complete`.
//
// The caller does not submit, as it does with Linux AIO: io_uring finishes a request in the thread
// that submitted it, and for that interrupts whatever system call the thread is in. A host whose
// epoll_wait ends with EINTR did not ask for this (measured: DESIGN.md).
//
// Invariants:
// - Every accepted request is in exactly one place: the queue, a slot, or on its way to `complete`.
// - No request waits in the queue while the thread sleeps and a slot is free: before it sleeps it
//   finds the queue empty and says so with the queue locked, and whoever queues then wakes it.

import CVarveAIO
import Glibc
import Synchronization

final class IOUringShard: Sendable {
  private struct Queue: ~Copyable {
    var requests = RequestQueue()
    /// Nothing is accepted any more.
    var isClosed = false
  }

  let wakeEvent: Int32
  let fileDescriptor: Int32
  let options: DeviceOptions
  let counters = DeviceCounters()
  let isClosing = Atomic<Bool>(false)
  /// The requests that lie in slots; changed only by the ring's thread.
  let inFlightCount = Atomic<Int>(0)
  private let queue = Mutex(Queue())
  /// Set with the queue locked and empty; whoever clears it by queueing wakes the thread.
  private let isAsleep = Atomic<Bool>(false)
  /// Keeps the file open for as long as the shard may submit.
  private let file: SharedFile

  init(wakeEvent: Int32, file: SharedFile, options: DeviceOptions) {
    self.wakeEvent = wakeEvent
    self.file = file
    fileDescriptor = file.descriptor
    self.options = options
  }

  deinit { _ = close(wakeEvent) }

  // MARK: Any thread

  /// Accepts requests whose range has been checked.
  func submit(_ requests: some Collection<IORequest>) {
    var acceptedCount = 0
    let (refusal, isToWake) = queue.withLock { queue in
      if queue.isClosed { return (ESHUTDOWN, false) }
      // What is continued goes ahead of the others, also into a full queue.
      let room = max(0, DeviceOptions.maximumQueuedCount - queue.requests.count)
      for request in requests.prefix(room) { queue.requests.append(request) }
      acceptedCount = min(room, requests.count)
      return (EAGAIN, acceptedCount > 0 && isAsleep.exchange(false, ordering: .relaxed))
    }
    if isToWake { wake() }
    for request in requests.dropFirst(acceptedCount) {
      counters.countFailure()
      request.finish(errorNumber: refusal)
    }
  }

  /// The requests that wait.
  var queuedCount: Int { queue.withLock { $0.requests.count } }

  /// Lets the thread finish what has been accepted and end.
  func beginClosing() {
    isClosing.store(true, ordering: .sequentiallyConsistent)
    wake()
  }

  private func wake() {
    let result = varve_event_signal(wakeEvent)
    precondition(result == 0, "signalling an eventfd failed with errno \(-result)")
  }

  // MARK: The ring's thread

  /// Takes up to `limit` requests. If that empties the queue before a sleep, whoever queues next
  /// wakes the thread.
  func take(upTo limit: Int, isBeforeSleep: Bool) -> RequestQueue {
    queue.withLock { queue in
      var taken = RequestQueue()
      while taken.count < limit, let request = queue.requests.removeFirst() {
        taken.append(request)
      }
      if isBeforeSleep { isAsleep.store(queue.requests.count == 0, ordering: .relaxed) }
      return taken
    }
  }

  /// The thread has ended its sleep, and looks at the queue before the next.
  func noteAwake() { isAsleep.store(false, ordering: .relaxed) }

  /// Goes on with a request of which the kernel transferred only a part.
  func resume(_ request: IORequest) { queue.withLock { $0.requests.prepend(request) } }

  /// Closes the shard for good if nothing is queued or in flight.
  func finishClosing() -> Bool {
    queue.withLock { queue in
      guard queue.requests.count == 0, inFlightCount.load(ordering: .relaxed) == 0 else {
        return false
      }
      queue.isClosed = true
      return true
    }
  }
}
