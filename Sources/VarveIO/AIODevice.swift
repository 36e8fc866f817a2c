// The device over Linux AIO: a few contexts, each with a reaper of its own. Callers submit
// themselves, into a context chosen by their thread and the address. The tasks of an executor of
// the device submit into the context of the loop they run on, which also reaps it: no request of
// another thread ever waits for a task there.

import CVarveAIO
import Glibc
import Synchronization

/// A file or block device driven by Linux AIO.
public final class AIODevice: InstrumentedDevice {
  /// The bytes that can be addressed, a multiple of 4096.
  public var byteCount: UInt64 { life.file.byteCount }
  private let options: DeviceOptions
  private let shards: [AIOShard]
  private let loops = Mutex(Loops())
  private let life: DeviceLife

  /// Takes over an open file and starts the threads.
  ///
  /// - Throws: `DeviceError` with code `resource` when AIO requests or threads are used up, and
  ///   `unsupported` where the kernel or a policy does not allow AIO.
  public convenience init(_ file: consuming DirectFile, options: DeviceOptions = DeviceOptions())
    throws(DeviceError)
  {
    try self.init(sharing: SharedFile(file), options: options)
  }

  init(sharing file: SharedFile, options: DeviceOptions) throws(DeviceError) {
    var options = options
    options.queueDepth = min(max(options.queueDepth, 1), DeviceOptions.maximumQueueDepth)
    let contextCount = min(max(options.contextCount, 1), DeviceOptions.maximumContextCount)
    let started = try DeviceLife.startThreads(contextCount, of: file) { index throws(DeviceError) in
      try Self.startShard(index, file: file, options: options)
    } undo: {
      $0.beginClosing()
    }
    self.options = options
    shards = started.parts
    life = DeviceLife(file: file, threads: started.threads)
  }

  deinit { close() }

  /// The shards of the loops of executors.
  private struct Loops {
    var shards: [AIOShard] = []
    /// What those did that have ended since, with their executor.
    var endedTotal = DeviceStatistics()

    mutating func forgetEnded() {
      for shard in shards where shard.ended.isPassable { shard.counters.add(to: &endedTotal) }
      shards.removeAll { $0.ended.isPassable }
    }
  }

  /// Makes a shard and the context that its thread takes over.
  private static func makeShard(_ file: SharedFile, _ options: DeviceOptions)
    throws(DeviceError) -> (AIOShard, IOExecutor.Handover)
  {
    // One more than the slots: the poll that wakes the reaper.
    let context = try AIOContext(requestCapacity: options.queueDepth + 1)
    let event = varve_event_create()
    guard event >= 0 else {
      throw DeviceError.system("create an eventfd for", path: file.path, errorNumber: -event)
    }
    let shard = AIOShard(
      submitter: context.submitter(), wakeEvent: event, file: file, options: options)
    return (shard, IOExecutor.Handover(context))
  }

  private static func startShard(_ index: Int, file: SharedFile, options: DeviceOptions)
    throws(DeviceError) -> (AIOShard, DeviceThread)
  {
    let (shard, handover) = try makeShard(file, options)
    let thread = try DeviceThread(name: "varve-aio-\(index)") {
      guard let context = handover.context.withLock({ $0.take() }) else {
        preconditionFailure("a reaper is handed one context")
      }
      shard.reapUntilClosed(context)
    }
    return (shard, thread)
  }

  // MARK: BlockDevice

  /// Hands a request to the kernel on the calling thread. On a thread of an executor of this device
  /// it goes with up to three others, at the latest once 64 steps of tasks have run.
  ///
  /// Fails with ESHUTDOWN after `close()`, with ECHILD in a process forked since the device was
  /// opened, with EAGAIN when 65,536 requests wait already, with EINVAL for what is not aligned
  /// to sectors, with ENOSPC for a write beyond the end and with EBADF for a write to a device
  /// opened read-only.
  public func submit(_ request: IORequest) {
    guard life.admits(request) else { return }
    if let loop = IOLoop.current, loop.serves(life.file) { return loop.stage(request) }
    shard(for: request).submit(request)
  }

  /// Hands over several requests, up to four to each system call.
  public func submit(contentsOf requests: [IORequest]) {
    guard let first = requests.first else { return }
    if let loop = IOLoop.current, loop.serves(life.file) {
      for request in requests where life.admits(request) { loop.stage(request) }
      return
    }
    life.forEachAdmissibleRun(of: requests) { shard(for: first).submit($0) }
  }

  /// Makes threads that run tasks and the I/O that those submit here, each with a context of its
  /// own. They go on to run tasks after the device was closed.
  ///
  /// - Throws: `DeviceError` with code `resource` when AIO requests or threads are used up.
  public func makeExecutor(
    threadCount: Int, onStall: @escaping @Sendable (_ nanoseconds: UInt64) -> Void
  ) throws(DeviceError) -> IOExecutor {
    var parts: [IOExecutor.Part] = []
    for _ in 0..<min(max(threadCount, 1), DeviceOptions.maximumContextCount) {
      let (shard, handover) = try Self.makeShard(life.file, options)
      let loop = IOLoop(shard: shard, wakeEvent: shard.wakeEvent, onStall: onStall)
      parts.append(IOExecutor.Part(loop: loop, handover: handover))
    }
    for _ in parts { life.file.addUser() }
    let executor: IOExecutor
    do throws(DeviceError) {
      executor = try IOExecutor(parts)
    } catch {
      // Threads that have started end by themselves; for the others nobody else does that.
      for part in parts where part.handover.isLeft() { part.loop.shard?.end() }
      throw error
    }
    let isClosed = loops.withLock { loops in
      loops.forgetEnded()
      loops.shards += parts.compactMap(\.loop.shard)
      return life.isClosing
    }
    if isClosed { for part in parts { part.loop.shard?.beginClosing() } }
    return executor
  }

  /// The unit in which the device takes note of discards; nil for a file.
  public var discardGranularityByteCount: Int? { life.file.discardGranularityByteCount }

  /// Discards a range of a block device, on the calling thread.
  ///
  /// - Throws: `DeviceError`, with code `unsupported` where the device takes no discards.
  public func discard(_ range: Range<UInt64>) throws(DeviceError) { try life.discard(range) }

  /// Whether it is a file, which can be made longer.
  public var isExtensible: Bool { life.file.isExtensible }

  /// The bytes that the file system has left to make the file longer with; nil for a block device.
  public var availableByteCount: UInt64? { life.file.availableByteCount }

  /// The bytes of the file or the block device now.
  ///
  /// - Throws: `DeviceError` with code `io`.
  public func presentByteCount() throws(DeviceError) -> UInt64 {
    try life.file.presentByteCount()
  }

  /// Makes a file longer, or takes up what a block device has gained.
  ///
  /// - Throws: `DeviceError` with code `noSpace`, `tooLarge`, `cancelled` or `io`.
  public func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError) {
    try life.file.extend(over: range, progress: progress)
  }

  /// Finishes what has been accepted, ends the threads, destroys the contexts, closes the file.
  public func close() {
    life.end {
      for shard in shards { shard.beginClosing() }
      endLoops()
    }
  }

  /// Takes the contexts away from the loops. On the thread of a loop it does not wait for that: two
  /// loops that close each other's device would wait for ever.
  private func endLoops() {
    let loopShards = loops.withLock { $0.shards }
    for shard in loopShards { shard.beginClosing() }
    guard IOLoop.current == nil else { return }
    for shard in loopShards { shard.ended.wait() }
  }

  /// The counters of all contexts.
  public var statistics: DeviceStatistics {
    var (total, loopShards) = loops.withLock { loops in
      loops.forgetEnded()
      return (loops.endedTotal, loops.shards)
    }
    loopShards += shards
    for shard in loopShards {
      shard.counters.add(to: &total)
      total.queuedCount += shard.queuedCount.load(ordering: .relaxed)
      if !life.isClosing { total.inFlightCount += shard.slots.usedCount }
    }
    return total
  }

  // MARK: Helpers

  /// The context for a request.
  private func shard(for request: IORequest) -> AIOShard {
    shards[request.shardIndex(of: shards.count)]
  }
}
