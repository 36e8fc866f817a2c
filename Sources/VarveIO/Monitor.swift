import Glibc

/// A mutex and a condition, for threads that sleep until there is work (Hoare, CACM 1974).
///
/// SAFETY: the two POSIX objects are allocated once, never move, and are destroyed with the
/// monitor, when nobody can wait any more.
@safe final class Monitor: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

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

  /// Calls `body` alone. Not recursive.
  func withLock<Result>(_ body: () -> Result) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Sleeps until woken, perhaps for nothing; called with the lock held, which it gives up
  /// meanwhile.
  func wait() { unsafe pthread_cond_wait(condition, mutex) }

  /// Wakes one thread that waits.
  func signal() { unsafe pthread_cond_signal(condition) }

  /// Wakes all threads that wait.
  func broadcast() { unsafe pthread_cond_broadcast(condition) }
}
