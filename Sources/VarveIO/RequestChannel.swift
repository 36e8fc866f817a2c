import Glibc

/// A bounded queue between the callers and the threads of a pool: a mutex and a condition, because
/// a thread of the pool that finds nothing sleeps.
///
/// SAFETY: the queue and the flag are touched only with the mutex locked; the two POSIX objects are
/// allocated once, never move, and are destroyed with the channel, when no thread can wait.
@safe final class RequestChannel: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var queue = RequestQueue()
  private var isClosed = false

  init() {
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition.initialize(to: pthread_cond_t())
    let isReady =
      unsafe pthread_mutex_init(mutex, nil) == 0
      && pthread_cond_init(condition, nil) == 0
    precondition(isReady, "a mutex and a condition without attributes can be made")
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  /// Queues a request, or returns the error number with which it is refused.
  func append(_ request: IORequest) -> Int32 {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    if isClosed { return ESHUTDOWN }
    if queue.count >= DeviceOptions.maximumQueuedCount { return EAGAIN }
    queue.append(request)
    unsafe pthread_cond_signal(condition)
    return 0
  }

  /// Waits for a request; nil once the channel is closed and empty.
  func next() -> IORequest? {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while true {
      if let request = queue.removeFirst() { return request }
      if isClosed { return nil }
      unsafe pthread_cond_wait(condition, mutex)
    }
  }

  /// Accepts nothing more; what is queued is still handed out.
  func close() {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    isClosed = true
    unsafe pthread_cond_broadcast(condition)
  }

  /// The requests that wait.
  var count: Int {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return queue.count
  }
}
