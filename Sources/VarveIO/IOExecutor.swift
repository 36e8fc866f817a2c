import CVarveAIO
import Glibc
import Synchronization

/// Threads that run tasks and the I/O of those tasks, without a hop between the two.
///
/// - Warning: Code that blocks a thread here, or computes for long, stalls the I/O of every task on
///   it. When it has run tasks for more than 5 ms, at most 64 steps of them, without taking
///   completions, that is counted in `stallCount` and reported. Compute elsewhere.
///
/// A task prefers the executor, and with it its child tasks do:
///
/// ```swift
/// await withTaskExecutorPreference(executor) {
///   await serve(request)
/// }
/// ```
///
/// `Task {}`, `Task.detached` and actors with an executor of their own, such as the main actor, are
/// not meant by that: they run where they always do, and their I/O goes through the device's own
/// threads.
///
/// A task goes on where the completion that it waited for was taken; one that comes from elsewhere
/// begins on the threads in turn. The threads end when the last task and the last holder have let
/// go of the executor; those who hold it still after its device was closed can run tasks on it.
public final class IOExecutor: TaskExecutor {
  private let loops: [IOLoop]
  private let threads: Mutex<[DeviceThread]>
  private let nextLoop = Atomic<Int>(0)
  private let forkGeneration = varve_fork_generation()

  /// A loop and the context that its thread takes over.
  struct Part {
    let loop: IOLoop
    let handover: Handover
  }

  /// A context on its way to the thread that owns it from then on.
  final class Handover: Sendable {
    let context: Mutex<AIOContext?>
    init(_ context: consuming AIOContext?) { self.context = Mutex(consume context) }

    /// Whether no thread has taken the context over; it is destroyed then.
    func isLeft() -> Bool { context.withLock { $0.take() != nil } }
  }

  /// Starts threads that run tasks only; their I/O goes through the threads of the device.
  ///
  /// - Parameters:
  ///   - threadCount: From 1 to 64.
  ///   - onStall: Called on a thread that was held up, with the nanoseconds; it must not block.
  /// - Throws: `DeviceError` with code `resource`.
  public convenience init(
    threadCount: Int, onStall: @escaping @Sendable (UInt64) -> Void = { _ in }
  ) throws(DeviceError) {
    var parts: [Part] = []
    for _ in 0..<min(max(threadCount, 1), DeviceOptions.maximumContextCount) {
      let event = varve_event_create()
      guard event >= 0 else {
        throw .system("create an eventfd for", path: "", errorNumber: -event)
      }
      parts.append(
        Part(
          loop: IOLoop(shard: nil, wakeEvent: event, onStall: onStall), handover: Handover(nil)))
    }
    try self.init(parts)
  }

  /// Starts a thread for each loop.
  init(_ parts: [Part]) throws(DeviceError) {
    loops = parts.map(\.loop)
    threads = Mutex([])
    // SAFETY: a task that prefers this executor keeps it alive until its last job has run.
    let executor = unsafe asUnownedTaskExecutor()
    let identifier = ObjectIdentifier(self)
    for (index, part) in parts.enumerated() {
      let (loop, handover) = (part.loop, part.handover)
      let thread = try DeviceThread(name: "varve-loop-\(index)") {
        unsafe loop.run(executor, identifier, handover.context.withLock { $0.take() })
      }
      threads.withLock { $0.append(thread) }
    }
  }

  deinit {
    // The threads of the parent do not exist in a forked child, and its eventfds are the parent's.
    guard varve_fork_generation() == forkGeneration else { return }
    for loop in loops { loop.stop() }
    threads.withLock { threads in
      for thread in threads {
        // The last task may let go of the executor on one of its threads.
        if thread.isCurrent { thread.detach() } else { thread.join() }
      }
    }
  }

  /// How often a thread ran tasks for more than 5 ms without taking completions.
  public var stallCount: UInt64 {
    loops.reduce(0) { $0 + $1.stallCount.load(ordering: .relaxed) }
  }

  /// The number of threads.
  public var threadCount: Int { loops.count }

  /// Runs a job on one of the threads: on this one, if it is one of them.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if let loop = IOLoop.current, loop.executorIdentifier == ObjectIdentifier(self) {
      return loop.appendLocally(job)
    }
    let turn = nextLoop.wrappingAdd(1, ordering: .relaxed).oldValue
    loops[Int(UInt(bitPattern: turn) % UInt(loops.count))].append(job)
  }

  /// Counts an answer that a task on a loop had without a suspension. True at every 128th of the
  /// thread: the task then calls `yield`, because one that finds all it wants in memory would keep
  /// the completions of the others waiting. Elsewhere it costs a load, and is false.
  package static func isYieldDue() -> Bool { IOLoop.current?.isYieldDue() ?? false }

  /// Lets the other tasks of this thread run; elsewhere it does nothing.
  package static func yield() async { await IOLoop.current?.yield() }
}
