// One thread that runs tasks and their I/O: a task that waits for the device is resumed by the
// thread that took its completion, which is the thread it runs on, so no other one is woken.
//
// A pass: jobs from other threads are taken in → jobs run, and submit in groups of four → what is
// left of a group is submitted → completions are taken from the ring, which makes tasks ready. The
// thread sleeps only where nothing is ready, in the one wait that transfers and other threads end.
//
// Invariants:
// - `inbox` is touched by anybody, locked; all other mutable state by the thread alone, or it is
//   atomic. `executorIdentifier` is set before the first job and never again.
// - Nobody's job waits while the thread sleeps: it says that it will sleep and then looks at the
//   inbox, while others put a job there and then look whether it sleeps.

import CVarveAIO
import Glibc
import Synchronization

/// A thread of an `IOExecutor`.
///
/// SAFETY: see the first invariant; the rest is atomic or does not change.
@safe final class IOLoop: @unchecked Sendable {
  /// The shard that this thread submits to and reaps; nil where it only runs jobs.
  let shard: AIOShard?
  private let wakeEvent: Int32
  private let inbox = Mutex<[UnownedJob]>([])
  private let isSleeping = Atomic<Bool>(false)
  private let isStopped = Atomic<Bool>(false)
  private let onStall: @Sendable (UInt64) -> Void
  let stallCount = Atomic<UInt64>(0)

  /// The executor of which the loop is a part, while its thread runs.
  private(set) var executorIdentifier: ObjectIdentifier?
  private var jobs: [UnownedJob] = []
  private var nextJob = 0
  private var staged: [IORequest] = []
  /// The group that is being submitted.
  private var group: [IORequest] = []
  private var isSubmitting = false
  private var yielded: [UnsafeContinuation<Void, Never>] = unsafe []
  private var resumed: [UnsafeContinuation<Void, Never>] = unsafe []
  private var hitCount: UInt32 = 0

  /// Jobs run before the ring is looked at again.
  private static let jobLimit = 64
  /// Answers without a suspension after which a task lets the others run.
  private static let hitLimit: UInt32 = 128
  /// A pass that takes longer holds back everybody's I/O, and is reported.
  static let stallNanoseconds: UInt64 = 5_000_000

  /// `wakeEvent` is the shard's where there is one, and otherwise becomes the loop's own.
  init(shard: AIOShard?, wakeEvent: Int32, onStall: @escaping @Sendable (UInt64) -> Void) {
    self.shard = shard
    self.wakeEvent = wakeEvent
    self.onStall = onStall
    staged.reserveCapacity(DeviceOptions.submissionBatchCount)
    group.reserveCapacity(DeviceOptions.submissionBatchCount)
  }

  deinit { if shard == nil { close(wakeEvent) } }

  // MARK: On any thread

  /// The loop whose thread this is.
  static var current: IOLoop? {
    guard let pointer = unsafe varve_current_loop() else { return nil }
    // SAFETY: `run` keeps the loop alive while its thread names it.
    return unsafe Unmanaged<IOLoop>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Takes a job from another thread.
  func append(_ job: UnownedJob) {
    inbox.withLock { $0.append(job) }
    if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { wake() }
  }

  /// Lets the thread end once it has nothing to run.
  func stop() {
    isStopped.store(true, ordering: .sequentiallyConsistent)
    wake()
  }

  private func wake() {
    let result = varve_event_signal(wakeEvent)
    precondition(result == 0, "signalling an eventfd failed with errno \(-result)")
  }

  // MARK: On the loop's thread

  /// Takes a job that the thread itself has made ready.
  func appendLocally(_ job: UnownedJob) { jobs.append(job) }

  /// Submits a request with the next group.
  func stage(_ request: IORequest) {
    staged.append(request)
    if staged.count == DeviceOptions.submissionBatchCount { submitStaged() }
  }

  /// A request that is refused is completed on the way, and may be staged anew by that: such
  /// requests go with the next round of the loop here, never with the group that is on its way.
  private func submitStaged() {
    guard !isSubmitting, let shard else { return }
    isSubmitting = true
    while !staged.isEmpty {
      swap(&staged, &group)
      shard.submit(group[...])
      group.removeAll(keepingCapacity: true)
    }
    isSubmitting = false
  }

  /// Whether the requests of a task here go into the loop's own context.
  func serves(_ file: SharedFile) -> Bool {
    guard let shard else { return false }
    return shard.file === file && !shard.isClosing.load(ordering: .acquiring)
  }

  /// Counts an answer that came without a suspension; true when it is time to call `yield`.
  func isYieldDue() -> Bool {
    hitCount &+= 1
    return hitCount % Self.hitLimit == 0
  }

  /// Suspends the task until the next pass.
  func yield() async {
    await unsafe withUnsafeContinuation { unsafe yielded.append($0) }
  }

  /// The body of the thread. `executor` and `identifier` name the executor of which the loop is a
  /// part.
  func run(
    _ executor: UnownedTaskExecutor, _ identifier: ObjectIdentifier,
    _ context: consuming AIOContext?
  ) {
    executorIdentifier = identifier
    unsafe varve_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
    defer { varve_set_current_loop(nil) }
    if let context, let shard {
      var reaper = AIOReaper(shard, context)
      let forkGeneration = varve_fork_generation()
      while true {
        unsafe runJobs(executor)
        // A forked child that comes back here shares the ring with its parent, and leaves it alone.
        guard varve_fork_generation() == forkGeneration else { break }
        reaper.arm()
        if isStopped.load(ordering: .acquiring), !shard.isClosing.load(ordering: .relaxed) {
          shard.beginClosing()
        }
        reaper.reap(mayWait: mayWait())
        isSleeping.store(false, ordering: .relaxed)
        // What completions have staged was accepted, too.
        submitStaged()
        if !reaper.goesOn() { break }
      }
    }
    shard?.end()
    // The device is closed, or there never was one: what is left are jobs.
    while true {
      unsafe runJobs(executor)
      guard mayWait() else { continue }
      if isStopped.load(ordering: .acquiring) { return }
      var wait = pollfd(fd: wakeEvent, events: Int16(POLLIN), revents: 0)
      _ = unsafe poll(&wait, 1, -1)
      _ = varve_event_clear(wakeEvent)
      isSleeping.store(false, ordering: .relaxed)
    }
  }

  /// Runs what is ready, and submits what that asks for.
  private func runJobs(_ executor: UnownedTaskExecutor) {
    let startNanoseconds = varve_monotonic_nanoseconds()
    inbox.withLock { inbox in
      guard !inbox.isEmpty else { return }
      jobs.append(contentsOf: inbox)
      inbox.removeAll(keepingCapacity: true)
    }
    if unsafe !yielded.isEmpty {
      unsafe swap(&yielded, &resumed)
      unsafe resumed.forEach { unsafe $0.resume() }
      unsafe resumed.removeAll(keepingCapacity: true)
    }
    var count = 0
    while nextJob < jobs.count, count < Self.jobLimit {
      let job = jobs[nextJob]
      nextJob += 1
      count += 1
      unsafe job.runSynchronously(on: executor)
    }
    if nextJob == jobs.count {
      jobs.removeAll(keepingCapacity: true)
      nextJob = 0
    } else if nextJob > 16 * Self.jobLimit {
      jobs.removeFirst(nextJob)
      nextJob = 0
    }
    submitStaged()
    guard count > 0 else { return }
    let duration = varve_monotonic_nanoseconds() - startNanoseconds
    guard duration > Self.stallNanoseconds else { return }
    stallCount.wrappingAdd(1, ordering: .relaxed)
    onStall(duration)
  }

  /// Whether nothing is ready. From then on whoever brings a job wakes the thread.
  private func mayWait() -> Bool {
    guard nextJob == jobs.count, staged.isEmpty, unsafe yielded.isEmpty else { return false }
    isSleeping.store(true, ordering: .sequentiallyConsistent)
    guard inbox.withLock({ $0.isEmpty }) else {
      isSleeping.store(false, ordering: .relaxed)
      return false
    }
    return true
  }
}
