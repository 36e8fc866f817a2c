import Synchronization

/// A thread that runs tasks and nothing else. The cooperative pool would do while one of its
/// threads is free; but tasks that compute, or put without ever suspending, may hold all of them,
/// and those may be the ones that wait for what the background work of a store makes ready
/// (measured: DESIGN.md).
package final class WorkerThread: TaskExecutor {
  /// What the thread and its owner share; the thread does not keep its owner alive.
  ///
  /// SAFETY: the jobs and the flag are touched only with the monitor locked.
  private final class Jobs: @unchecked Sendable {
    private let monitor = Monitor()
    private var waiting: [UnownedJob] = []
    private var isStopped = false

    func append(_ job: UnownedJob) {
      monitor.withLock {
        waiting.append(job)
        monitor.signal()
      }
    }

    func stop() {
      monitor.withLock {
        isStopped = true
        monitor.signal()
      }
    }

    /// Waits for jobs and takes all of them; nil once stopped and empty.
    func next() -> [UnownedJob]? {
      monitor.withLock {
        while waiting.isEmpty {
          if isStopped { return nil }
          monitor.wait()
        }
        defer { waiting.removeAll(keepingCapacity: true) }
        return waiting
      }
    }
  }

  private let jobs = Jobs()
  private let thread = Mutex<DeviceThread?>(nil)

  /// Starts the thread; `name` has at most 15 bytes.
  ///
  /// - Throws: `DeviceError` with code `resource`.
  package init(name: String) throws(DeviceError) {
    let jobs = jobs
    // SAFETY: a task that prefers this executor keeps it alive until its last job has run.
    let executor = unsafe asUnownedTaskExecutor()
    let started = try DeviceThread(name: name) {
      while let waiting = jobs.next() {
        for job in waiting { unsafe job.runSynchronously(on: executor) }
      }
    }
    thread.withLock { $0 = started }
  }

  package func enqueue(_ job: consuming ExecutorJob) { jobs.append(UnownedJob(job)) }

  /// Lets the thread end once it has nothing to run: called in the last job, or after it.
  package func stop() { jobs.stop() }

  /// Waits until the thread has ended. Blocks; the thread itself does not wait.
  package func join() {
    let ended = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    guard let ended else { return }
    if ended.isCurrent { ended.detach() } else { ended.join() }
  }
}
