// The device over blocking system calls: for kernels and containers without AIO. One bounded queue,
// a fixed number of threads, and one more that looks for requests that hang.

import CVarveAIO
import Glibc
import Synchronization

/// A file or block device driven by a pool of blocking threads.
public final class ThreadPoolDevice: InstrumentedDevice {
  /// The bytes that can be addressed, a multiple of 4096.
  public var byteCount: UInt64 { life.file.byteCount }
  private let pool: Pool
  private let life: DeviceLife

  /// Takes over an open file and starts the threads.
  ///
  /// - Throws: `DeviceError` with code `resource` when threads are used up.
  public convenience init(_ file: consuming DirectFile, options: DeviceOptions = DeviceOptions())
    throws(DeviceError)
  {
    try self.init(sharing: SharedFile(file), options: options)
  }

  init(sharing file: SharedFile, options: DeviceOptions) throws(DeviceError) {
    let event = varve_event_create()
    guard event >= 0 else {
      throw .system("create an eventfd for", path: file.path, errorNumber: -event)
    }
    let threadCount = min(max(options.threadCount, 1), DeviceOptions.maximumThreadCount)
    let pool = Pool(file, options, threadCount: threadCount, closeEvent: event)
    // The last of them looks for requests that hang.
    let started = try DeviceLife.startThreads(threadCount + 1, of: file) {
      index throws(DeviceError) in
      guard index < threadCount else {
        return ((), try DeviceThread(name: "varve-io-watch") { pool.watch() })
      }
      let worker = pool.workers[index]
      return ((), try DeviceThread(name: "varve-io-\(index)") { pool.work(worker) })
    } undo: { _ in
      pool.close()
    }
    self.pool = pool
    life = DeviceLife(file: file, threads: started.threads)
  }

  deinit { close() }

  // MARK: BlockDevice

  /// Queues a request for the next idle thread; fails as `AIODevice.submit` does.
  public func submit(_ request: IORequest) {
    guard life.admits(request) else { return }
    let refusal = pool.channel.append(request)
    if refusal != 0 { request.finish(errorNumber: refusal) }
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

  /// Finishes what has been accepted, ends the threads, closes the file.
  public func close() {
    life.end {
      pool.close()
    }
  }

  /// The counters.
  public var statistics: DeviceStatistics {
    var total = DeviceStatistics()
    pool.counters.add(to: &total)
    total.queuedCount = pool.channel.count
    total.inFlightCount = pool.workers.count { $0.mark.isActive }
    return total
  }
}

/// What one thread of a pool works on.
private final class Worker: Sendable {
  let mark = InFlightMark()
}

/// What the threads share; it outlives the device where the last request dropped that.
private final class Pool: Sendable {
  let file: SharedFile
  let options: DeviceOptions
  let channel = RequestChannel()
  let counters = DeviceCounters()
  let workers: [Worker]
  let isClosing = Atomic<Bool>(false)
  private let closeEvent: Int32

  init(_ file: SharedFile, _ options: DeviceOptions, threadCount: Int, closeEvent: Int32) {
    self.file = file
    self.options = options
    workers = (0..<threadCount).map { _ in Worker() }
    self.closeEvent = closeEvent
  }

  deinit { _ = Glibc.close(closeEvent) }

  func close() {
    isClosing.store(true, ordering: .sequentiallyConsistent)
    channel.close()
    let result = varve_event_signal(closeEvent)
    precondition(result == 0, "signalling an eventfd failed with errno \(-result)")
  }

  /// The body of a thread: one request after the other.
  func work(_ worker: Worker) {
    while let request = channel.next() {
      worker.mark.begin(request, nanoseconds: varve_monotonic_nanoseconds())
      let errorNumber = perform(request)
      report(worker, isInFlight: false)
      worker.mark.end()
      if errorNumber == 0 {
        counters.countSuccess(of: request.operation, byteCount: request.byteCount)
      } else {
        counters.countFailure()
      }
      request.finish(errorNumber: errorNumber)
    }
  }

  /// The body of the thread that looks for requests that hang, once a second.
  func watch() {
    while !isClosing.load(ordering: .acquiring) {
      var wait = pollfd(fd: closeEvent, events: Int16(POLLIN), revents: 0)
      _ = unsafe poll(&wait, 1, 1000)
      for worker in workers { report(worker, isInFlight: true) }
    }
  }

  /// Transfers the whole request and returns the error number, or 0.
  private func perform(_ request: IORequest) -> Int32 {
    while true {
      switch request.advance(result: transfer(request)) {
      case .done: return 0
      case .continued: continue
      case .failed(let errorNumber): return errorNumber
      }
    }
  }

  private func transfer(_ request: IORequest) -> Int {
    if request.isVectored { return transferVectored(request) }
    // SAFETY: the owner of the request keeps its memory alive until `complete`.
    let (memory, byteCount) = unsafe (request.remainingMemory, request.remainingByteCount)
    let byteOffset = Int64(bitPattern: request.remainingByteOffset)
    switch request.operation {
    case .read:
      return Int(unsafe varve_read_at(file.descriptor, memory, byteCount, byteOffset))
    case .write:
      return Int(unsafe varve_write_at(file.descriptor, memory, byteCount, byteOffset, 0))
    case .writeDurably:
      return Int(unsafe varve_write_at(file.descriptor, memory, byteCount, byteOffset, 1))
    case .flush: return Int(varve_flush(file.descriptor))
    }
  }

  private func transferVectored(_ request: IORequest) -> Int {
    let byteOffset = Int64(bitPattern: request.remainingByteOffset)
    return unsafe withUnsafeTemporaryAllocation(
      of: iovec.self, capacity: DeviceOptions.maximumVectorCount
    ) { vectors in
      let count = Int32(unsafe request.fillRemainingVectors(vectors))
      let base = vectors.baseAddress
      if request.operation == .read {
        return Int(unsafe varve_read_vectors_at(file.descriptor, base, count, byteOffset))
      }
      let isDurable: Int32 = request.operation == .writeDurably ? 1 : 0
      return Int(
        unsafe varve_write_vectors_at(file.descriptor, base, count, byteOffset, isDurable))
    }
  }

  private func report(_ worker: Worker, isInFlight: Bool) {
    guard
      let slow = worker.mark.slowRequest(
        nowNanoseconds: varve_monotonic_nanoseconds(),
        limitNanoseconds: options.slowRequestNanoseconds, isInFlight: isInFlight)
    else { return }
    counters.countSlowRequest()
    options.onSlowRequest?(slow)
  }
}
