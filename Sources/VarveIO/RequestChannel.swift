import Glibc

/// A bounded queue between the callers and the threads of a pool, which sleep when they find
/// nothing.
///
/// SAFETY: the queue and the flag are touched only with the monitor locked.
final class RequestChannel: @unchecked Sendable {
  private let monitor = Monitor()
  private var queue = RequestQueue()
  private var isClosed = false

  /// Queues a request, or returns the error number with which it is refused.
  func append(_ request: IORequest) -> Int32 {
    monitor.withLock {
      if isClosed { return ESHUTDOWN }
      if queue.count >= DeviceOptions.maximumQueuedCount { return EAGAIN }
      queue.append(request)
      monitor.signal()
      return 0
    }
  }

  /// Waits for a request; nil once the channel is closed and empty.
  func next() -> IORequest? {
    monitor.withLock {
      while true {
        if let request = queue.removeFirst() { return request }
        if isClosed { return nil }
        monitor.wait()
      }
    }
  }

  /// Accepts nothing more; what is queued is still handed out.
  func close() {
    monitor.withLock {
      isClosed = true
      monitor.broadcast()
    }
  }

  /// The requests that wait.
  var count: Int { monitor.withLock { queue.count } }
}
