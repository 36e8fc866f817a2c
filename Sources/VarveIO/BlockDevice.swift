// The seam between the store and whatever does its I/O. The store sees only this protocol: Linux
// AIO, io_uring, a pool of blocking threads and the simulated device are all behind it.

/// A range of bytes that takes asynchronous requests.
public protocol BlockDevice: AnyObject, Sendable {
  /// The bytes that can be addressed, a multiple of 4096: as many as when the device was opened,
  /// until `extend` makes them more.
  var byteCount: UInt64 { get }

  /// Whether `extend` makes what is missing, as it does with a file; a block device has the bytes
  /// that it has.
  var isExtensible: Bool { get }

  /// Hands a request to the device and returns without waiting for it.
  ///
  /// The device completes every request exactly once, also when it fails, and transfers all bytes
  /// or reports an error: short transfers are continued inside. Requests may complete in any
  /// order. After `close()` a request is completed with ESHUTDOWN. A request may be completed on
  /// the calling thread before `submit` returns, so no lock that `complete` takes may be held.
  func submit(_ request: IORequest)

  /// Hands over several requests with as few system calls as it takes.
  func submit(contentsOf requests: [IORequest])

  /// The bytes that are there now, a multiple of 4096: more than `byteCount` where somebody has
  /// enlarged the file or the block device since.
  ///
  /// - Throws: `DeviceError` with code `io`.
  func presentByteCount() throws(DeviceError) -> UInt64

  /// The bytes that the file system has left to make a file longer with; nil where the device is
  /// not extensible, or nobody knows.
  var availableByteCount: UInt64? { get }

  /// Makes `range.upperBound` bytes addressable, if they are not: allocates what a file lacks, and
  /// fills `range` of a file with zeros; takes up what a block device has gained, and writes
  /// nothing there. Requests go on meanwhile. Blocks, so it is called on a thread that nobody waits
  /// for.
  ///
  /// Nothing is durable on return: the next flush makes the length of the file and the zeros
  /// durable, and whatever names them comes after it. Where it fails, `byteCount` stays, and so
  /// does the length of the file.
  /// - Parameters:
  ///   - range: Whole pages, up to the new end; what lies in it is given up.
  ///   - progress: Called with the bytes filled and the bytes to fill; true ends it early.
  /// - Throws: `DeviceError` with code `noSpace`, `tooLarge` (the block device has fewer bytes),
  ///   `cancelled`, `unsupported` or `io`.
  func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError)

  /// Makes threads that run tasks and the I/O that those submit here; `threadCount` of them, and
  /// `onStall` is told when one has run tasks for more than 5 ms without taking completions.
  ///
  /// - Throws: `DeviceError` with code `resource` when AIO requests or threads are used up.
  func makeExecutor(
    threadCount: Int, onStall: @escaping @Sendable (_ nanoseconds: UInt64) -> Void
  ) throws(DeviceError) -> IOExecutor

  /// The unit in which the device takes note of discards, in bytes; nil where it takes none.
  var discardGranularityByteCount: Int? { get }

  /// Tells the device that the content of a range is no longer needed, so that a flash device need
  /// not carry it along, and a thin one can give it back. Both ends are multiples of 4096. Until
  /// the range is written again, reads may find zeros, the old content, or a mixture.
  ///
  /// It blocks, for milliseconds or for seconds: call it on a thread that nobody waits for. No
  /// write to the range may be in flight.
  /// - Throws: `DeviceError` with code `unsupported` where the device takes no discards.
  func discard(_ range: Range<UInt64>) throws(DeviceError)

  /// Waits for the requests in flight, ends the device's threads and releases its descriptors.
  /// Idempotent. Never called from `complete`. On a thread of an `IOExecutor` it does not wait for
  /// the requests of such threads: free their memory in `complete`.
  func close()
}

extension BlockDevice {
  /// False: a device has the bytes that it has.
  public var isExtensible: Bool { false }

  /// As many bytes as when it was opened.
  public func presentByteCount() throws(DeviceError) -> UInt64 { byteCount }

  /// Nil: nobody knows.
  public var availableByteCount: UInt64? { nil }

  /// Succeeds where the bytes are there already.
  public func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError) {
    guard range.upperBound > byteCount else { return }
    throw DeviceError(
      .tooLarge, path: "",
      message: "the device has \(byteCount) bytes, fewer than the \(range.upperBound) asked for")
  }

  /// Threads that run tasks only: their I/O goes through the threads of the device.
  public func makeExecutor(
    threadCount: Int, onStall: @escaping @Sendable (_ nanoseconds: UInt64) -> Void
  ) throws(DeviceError) -> IOExecutor {
    try IOExecutor(threadCount: threadCount, onStall: onStall)
  }

  /// Submits one request after the other.
  public func submit(contentsOf requests: [IORequest]) {
    for request in requests { submit(request) }
  }
}
