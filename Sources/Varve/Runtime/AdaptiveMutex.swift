import Glibc

/// A lock for short critical sections that many threads want: it spins before it sleeps, and a
/// thread that comes by may take it before one that is being woken.
///
/// `Synchronization.Mutex` is a priority-inheriting futex on Linux: once contended, the kernel
/// hands it from one sleeping thread to the next, and every section costs a context switch.
/// Measured on the log's lock under four loaders: DESIGN.md.
@safe struct AdaptiveMutex<Value>: ~Copyable, @unchecked Sendable {
  // SAFETY: a pthread mutex must not move, so it lives on the heap, and with it the value, which
  // is touched only while the mutex is held. Both live as long as this struct.
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let value: UnsafeMutablePointer<Value>

  init(_ initial: consuming sending Value) {
    unsafe lock = .allocate(capacity: 1)
    unsafe value = .allocate(capacity: 1)
    unsafe value.initialize(to: initial)
    var attributes = pthread_mutexattr_t()
    unsafe pthread_mutexattr_init(&attributes)
    unsafe pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_ADAPTIVE_NP))
    let result = unsafe pthread_mutex_init(lock, &attributes)
    precondition(result == 0, "a mutex could not be made: \(result)")
    unsafe pthread_mutexattr_destroy(&attributes)
  }

  deinit {
    unsafe pthread_mutex_destroy(lock)
    unsafe lock.deallocate()
    unsafe value.deinitialize(count: 1)
    unsafe value.deallocate()
  }

  /// Calls `body` with the value, alone. Not recursive.
  @inline(__always)
  func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return try unsafe body(&value.pointee)
  }
}
