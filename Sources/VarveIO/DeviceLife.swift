import CVarveAIO
import Glibc
import Synchronization

/// What the engines do alike around their I/O: which requests they accept, and how their threads
/// end and the file is closed.
struct DeviceLife: ~Copyable, Sendable {
  let file: SharedFile
  private let threads: Mutex<[DeviceThread]>
  private let isClosingFlag = Atomic<Bool>(false)
  /// Held through a discard, so that the file is not closed meanwhile.
  private let discardTurn = Mutex(())
  /// Whether the device's own threads no longer use the file.
  private let hasEnded = Atomic<Bool>(false)
  private let forkGeneration = varve_fork_generation()

  /// Takes over the threads that have been started for a device.
  init(file: SharedFile, threads: [DeviceThread]) {
    self.file = file
    self.threads = Mutex(threads)
  }

  /// Starts the threads of a device, all or none. `undo` has those end that have started.
  static func startThreads<Part>(
    _ count: Int, of file: SharedFile,
    _ start: (Int) throws(DeviceError) -> (Part, DeviceThread), undo: (Part) -> Void
  ) throws(DeviceError) -> (parts: [Part], threads: [DeviceThread]) {
    var (parts, threads): ([Part], [DeviceThread]) = ([], [])
    do throws(DeviceError) {
      for index in 0..<count {
        let (part, thread) = try start(index)
        parts.append(part)
        threads.append(thread)
      }
      return (parts, threads)
    } catch {
      parts.forEach(undo)
      for thread in threads { thread.join() }
      throw DeviceError(
        error.code, path: file.path, errorNumber: error.errorNumber, message: error.message)
    }
  }

  /// Whether the device has been closed, or is about to be.
  var isClosing: Bool { isClosingFlag.load(ordering: .relaxed) }

  /// Whether a request may go to the kernel; if not, it is completed with the reason.
  borrowing func admits(_ request: IORequest) -> Bool {
    var refusal = request.refusal(deviceByteCount: file.byteCount, isWritable: file.isWritable)
    if isClosing { refusal = ESHUTDOWN }
    if varve_fork_generation() != forkGeneration { refusal = ECHILD }
    guard refusal != 0 else {
      request.beginTransfer()
      return true
    }
    request.finish(errorNumber: refusal)
    return false
  }

  /// Calls `body` with each run of requests that may go to the kernel.
  borrowing func forEachAdmissibleRun(
    of requests: [IORequest], _ body: (ArraySlice<IORequest>) -> Void
  ) {
    // The run of admissible requests that has not been handed over yet.
    var start = 0
    for index in requests.indices where !admits(requests[index]) {
      if start < index { body(requests[start..<index]) }
      start = index + 1
    }
    if start < requests.count { body(requests[start...]) }
  }

  /// Discards a range of a block device. Blocks.
  borrowing func discard(_ range: Range<UInt64>) throws(DeviceError) {
    let isForked = varve_fork_generation() != forkGeneration
    guard file.discardGranularityByteCount != nil, !isForked else {
      throw DeviceError(
        .unsupported, path: file.path, message: "\(file.path) takes no discards here")
    }
    let isValid =
      range.upperBound <= file.byteCount && (range.lowerBound | range.upperBound) % 4096 == 0
    let result = discardTurn.withLock { _ -> Int32 in
      if isClosing { return -ESHUTDOWN }
      return isValid
        ? varve_block_device_discard(
          file.descriptor, range.lowerBound, range.upperBound - range.lowerBound) : -EINVAL
    }
    guard result == 0 else {
      throw .system("discard a range of", path: file.path, errorNumber: -result)
    }
  }

  /// Has the threads finish what was accepted, waits for them and closes the file, or leaves that
  /// to the last loop that uses it. Idempotent. `beginClosing` tells the threads.
  borrowing func end(beginClosing: () -> Void) {
    isClosingFlag.store(true, ordering: .sequentiallyConsistent)
    // The threads of the parent do not exist in a forked child, nor, perhaps, the owners of locks:
    // nothing there to end.
    let isForked = varve_fork_generation() != forkGeneration
    if !isForked {
      beginClosing()
      // A discard that began before the flag was set still uses the descriptor.
      discardTurn.withLock { _ in }
    }
    threads.withLock { threads in
      for thread in threads where !isForked {
        // The last reference may be dropped by a completion: the thread then ends by itself.
        if thread.isCurrent { thread.detach() } else { thread.join() }
      }
      let isLastUser = !threads.contains { $0.isCurrent }
      threads = []
      guard isLastUser, !hasEnded.exchange(true, ordering: .relaxed) else { return }
      if isForked { file.close() } else { file.removeUser() }
    }
  }
}
