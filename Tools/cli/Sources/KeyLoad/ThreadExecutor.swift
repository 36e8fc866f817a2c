import Dispatch
import Foundation
import Synchronization

/// Threads of its own for tasks whose calls block: in Swift's pool, with a thread for each core,
/// eight such tasks would be two.
public final class ThreadExecutor: TaskExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var isEnding = false
  }

  private let state = Mutex(State())
  private let wakeUps = DispatchSemaphore(value: 0)
  private let threadCount: Int

  /// Starts the threads, which end with `end()`.
  public init(threadCount: Int) {
    self.threadCount = threadCount
    for _ in 0..<threadCount { Thread { self.serve() }.start() }
  }

  /// Takes a job, which the next free thread runs.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.jobs.append(job) }
    wakeUps.signal()
  }

  /// Ends the threads once their jobs are done. No task prefers this executor any more.
  public func end() {
    state.withLock { $0.isEnding = true }
    for _ in 0..<threadCount { wakeUps.signal() }
  }

  private func serve() {
    while true {
      wakeUps.wait()
      let (job, isEnding) = state.withLock { state in
        (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isEnding)
      }
      if let job {
        unsafe job.runSynchronously(on: asUnownedTaskExecutor())
      } else if isEnding {
        return
      }
    }
  }
}
