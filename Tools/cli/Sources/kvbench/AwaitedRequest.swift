import DeviceLoad
import Measuring
import VarveIO

/// A request that its task awaits, with memory of its own: used over and over, it allocates
/// nothing.
///
/// SAFETY: one side at a time, as for every request: the task until it submits, the device until it
/// completes, the task again once it is resumed.
final class AwaitedRequest: IORequest, @unchecked Sendable {
  let kind: LoadKind
  private let buffer: AlignedMemory
  private var continuation: UnsafeContinuation<IOError?, Never>?

  init(_ kind: LoadKind) {
    self.kind = kind
    buffer = AlignedMemory(byteCount: kind.byteCount)
    super.init(operation: kind.isWriting ? .write : .read, byteCount: kind.byteCount)
    memory = buffer.base
    guard kind.isWriting else { return }
    var random = Random(state: Random.seed())
    random.fill(UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.byteCount))
  }

  /// Transfers from or to a place, and returns what went wrong.
  func transfer(at byteOffset: UInt64, on device: any BlockDevice) async -> IOError? {
    self.byteOffset = byteOffset
    return await withUnsafeContinuation { continuation in
      self.continuation = continuation
      device.submit(self)
    }
  }

  override func complete(_ error: IOError?) {
    guard let continuation else { preconditionFailure("a task waits for each request") }
    continuation.resume(returning: error)
  }
}
