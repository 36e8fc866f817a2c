import Synchronization
import VarveIO

/// Work that goes on beside the task that began it, which is woken when the result is there and
/// takes it when it comes by.
final class BackgroundStep<Result: Sendable>: Sendable {
  private let result = Mutex<Result?>(nil)
  private let task = Mutex<Task<Result, Never>?>(nil)

  init(
    on thread: WorkerThread, wake signal: Signal, _ work: @escaping @Sendable () async -> Result
  ) {
    let task = Task(executorPreference: thread) { [weak self] in
      let result = await work()
      self?.result.withLock { $0 = result }
      signal.raise()
      return result
    }
    self.task.withLock { $0 = task }
  }

  /// The result, once there is one.
  var value: Result? { result.withLock { $0 } }

  /// Waits for the result.
  func finished() async -> Result {
    guard let task = task.withLock({ $0 }) else { preconditionFailure("set in init") }
    return await task.value
  }
}
