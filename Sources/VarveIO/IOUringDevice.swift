// The device over io_uring: a few rings, each with a thread of its own that submits to it and takes
// from it what callers have queued.

import CVarveAIO
import Glibc
import Synchronization

/// A file or block device driven by io_uring, behind the package trait `IOUring`.
public final class IOUringDevice: InstrumentedDevice {
  /// The bytes that can be addressed, a multiple of 4096.
  public var byteCount: UInt64 { life.file.byteCount }
  private let shards: [IOUringShard]
  private let life: DeviceLife

  /// Takes over an open file and starts the threads.
  ///
  /// - Throws: `DeviceError` with code `unsupported` where the package trait `IOUring` is off, or
  ///   the kernel or a policy does not allow io_uring, and `resource` when memory, descriptors or
  ///   threads are used up.
  public convenience init(_ file: consuming DirectFile, options: DeviceOptions = DeviceOptions())
    throws(DeviceError)
  {
    try self.init(sharing: SharedFile(file), options: options)
  }

  init(sharing file: SharedFile, options: DeviceOptions) throws(DeviceError) {
    var options = options
    options.queueDepth = min(max(options.queueDepth, 1), DeviceOptions.maximumQueueDepth)
    let ringCount = min(max(options.contextCount, 1), DeviceOptions.maximumContextCount)
    let started = try DeviceLife.startThreads(ringCount, of: file) { index throws(DeviceError) in
      try Self.startShard(index, file: file, options: options)
    } undo: {
      $0.beginClosing()
    }
    shards = started.parts
    life = DeviceLife(file: file, threads: started.threads)
  }

  deinit { close() }

  /// A ring on its way to the thread that owns it from then on.
  private final class Handover: Sendable {
    let ring: Mutex<IOUring?>
    /// Opens when the thread has enabled the ring, or could not.
    let answered = Latch()
    let failure = Mutex<DeviceError?>(nil)
    init(_ ring: consuming IOUring) { self.ring = Mutex(consume ring) }

    /// On the thread: takes the ring over, nil where it cannot be used.
    func take() -> IOUring? {
      defer { answered.open() }
      guard let ring = ring.withLock({ $0.take() }) else {
        preconditionFailure("a thread is handed one ring")
      }
      do throws(DeviceError) {
        try ring.enable()
        return ring
      } catch {
        failure.withLock { $0 = error }
        return nil
      }
    }
  }

  private static func startShard(_ index: Int, file: SharedFile, options: DeviceOptions)
    throws(DeviceError) -> (IOUringShard, DeviceThread)
  {
    // One more than the slots: the event that wakes the thread.
    let ring = try IOUring(requestCapacity: options.queueDepth + 1)
    let event = varve_event_create()
    guard event >= 0 else {
      throw DeviceError.system("create an eventfd for", path: file.path, errorNumber: -event)
    }
    let shard = IOUringShard(wakeEvent: event, file: file, options: options)
    let handover = Handover(ring)
    let thread = try DeviceThread(name: "varve-uring-\(index)") {
      guard let ring = handover.take() else { return }
      var loop = IOUringLoop(shard, ring)
      loop.run()
    }
    handover.answered.wait()
    if let failure = handover.failure.withLock({ $0 }) {
      thread.join()
      throw failure
    }
    return (shard, thread)
  }

  // MARK: BlockDevice

  /// Queues a request for the thread of a ring; fails as `AIODevice.submit` does.
  public func submit(_ request: IORequest) {
    guard life.admits(request) else { return }
    shard(for: request).submit(CollectionOfOne(request))
  }

  /// Queues several requests, which go to the kernel together.
  public func submit(contentsOf requests: [IORequest]) {
    guard let first = requests.first else { return }
    life.forEachAdmissibleRun(of: requests) { shard(for: first).submit($0) }
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

  /// Finishes what has been accepted, ends the threads, destroys the rings, closes the file.
  public func close() {
    life.end {
      for shard in shards { shard.beginClosing() }
    }
  }

  /// The counters of all rings. No caller hands anything to the kernel itself, so
  /// `maximumSubmitNanoseconds` is 0.
  public var statistics: DeviceStatistics {
    var total = DeviceStatistics()
    for shard in shards {
      shard.counters.add(to: &total)
      total.queuedCount += shard.queuedCount
      total.inFlightCount += shard.inFlightCount.load(ordering: .relaxed)
    }
    return total
  }

  private func shard(for request: IORequest) -> IOUringShard {
    shards[request.shardIndex(of: shards.count)]
  }
}
