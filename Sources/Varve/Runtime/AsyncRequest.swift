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
