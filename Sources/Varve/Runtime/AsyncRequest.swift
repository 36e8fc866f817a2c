import VarveFormat
import VarveIO

/// A request that a task waits for. The call returns only when the device has let go of the
/// memory, whatever becomes of the task.
///
/// SAFETY: the waiter is set before the request is submitted and taken when it completes.
final class AsyncRequest: IORequest, @unchecked Sendable {
  private var waiter: Waiter<IOError?>?

  override func complete(_ error: IOError?) {
    let waiting = waiter
    waiter = nil
    waiting?.resume(error)
  }

  fileprivate func perform(on device: any BlockDevice) async -> IOError? {
    await suspend { waiting in
      waiter = waiting
      device.submit(self)
    }
  }
}

/// Page-aligned memory that several requests or readers may share.
///
/// SAFETY: whoever writes into it does so before it is shared, or into bytes nobody reads yet.
@safe final class PageBuffer: @unchecked Sendable {
  private let memory: AlignedMemory
  /// Whole pages.
  let byteCount: Int

  init(byteCount: Int) {
    memory = AlignedMemory(byteCount: byteCount)
    self.byteCount = memory.byteCount
  }

  convenience init(pageCount: Int) {
    self.init(byteCount: pageCount * Limits.pageByteCount)
  }

  /// The first byte.
  var base: UnsafeMutableRawPointer { unsafe memory.base }

  /// Lends a range of bytes to read.
  func withBytes<R, E: Error>(
    _ range: Range<Int>, _ body: (RawSpan) throws(E) -> R
  ) throws(E) -> R {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "range out of bounds")
    // SAFETY: in bounds, and this object keeps the memory alive during the call.
    return try unsafe body(
      RawSpan(_unsafeStart: memory.base + range.lowerBound, byteCount: range.count))
  }

  /// Lends a range of bytes to write.
  func withMutableBytes<R, E: Error>(
    _ range: Range<Int>, _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "range out of bounds")
    // SAFETY: in bounds, and this object keeps the memory alive during the call.
    var span = unsafe MutableRawSpan(
      _unsafeStart: memory.base + range.lowerBound, byteCount: range.count)
    return try body(&span)
  }

  /// Lends one page to read.
  func withPage<R, E: Error>(_ index: Int, _ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try withBytes(
      index * Limits.pageByteCount..<(index + 1) * Limits.pageByteCount, body)
  }

  /// Lends one page to write.
  func withMutablePage<R, E: Error>(
    _ index: Int, _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    try withMutableBytes(
      index * Limits.pageByteCount..<(index + 1) * Limits.pageByteCount, body)
  }
}

extension BlockDevice {
  /// Reads whole pages into the start of `buffer`, trying a failing read three times: an error of
  /// the device is never taken for the end of a log.
  func read(
    _ pageCount: Int, pagesAt page: PageIndex, into buffer: PageBuffer, bufferPage: Int = 0
  ) async -> IOError? {
    var failure: IOError?
    for _ in 0..<3 {
      let request = unsafe AsyncRequest(
        operation: .read, memory: buffer.base + bufferPage * Limits.pageByteCount,
        byteCount: pageCount * Limits.pageByteCount,
        byteOffset: page.rawValue * UInt64(Limits.pageByteCount))
      failure = await request.perform(on: self)
      if failure == nil { return nil }
    }
    return failure
  }

  /// Writes whole pages from `buffer`.
  func write(
    _ pageCount: Int, pagesAt page: PageIndex, from buffer: PageBuffer, bufferPage: Int = 0
  ) async -> IOError? {
    let request = unsafe AsyncRequest(
      operation: .write, memory: buffer.base + bufferPage * Limits.pageByteCount,
      byteCount: pageCount * Limits.pageByteCount,
      byteOffset: page.rawValue * UInt64(Limits.pageByteCount))
    return await request.perform(on: self)
  }

  /// Makes every completed write durable.
  func flush() async -> IOError? {
    await unsafe AsyncRequest(operation: .flush).perform(on: self)
  }
}
