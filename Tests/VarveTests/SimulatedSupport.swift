import Synchronization
import VarveIO

@testable import VarveTesting

/// A request with memory of its own that remembers how it ended.
final class Transfer: IORequest, @unchecked Sendable {
  private struct Result {
    var isDone = false
    var error: IOError?
    var waiter: UnsafeContinuation<Void, Never>?
  }

  private let result = Mutex(Result())

  init(_ operation: IOOperation, at byteOffset: UInt64, bytes: [UInt8]) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 512), alignment: 4096)
    memory.copyMemory(from: bytes, byteCount: bytes.count)
    super.init(
      operation: operation, memory: memory, byteCount: bytes.count, byteOffset: byteOffset)
  }

  static func read(at byteOffset: UInt64, byteCount: Int) -> Transfer {
    Transfer(.read, at: byteOffset, bytes: [UInt8](repeating: 0xee, count: byteCount))
  }

  static func flush() -> Transfer { Transfer(.flush, at: 0, bytes: []) }

  deinit { memory?.deallocate() }

  var isDone: Bool { result.withLock { $0.isDone } }
  var error: IOError? { result.withLock { $0.error } }
  var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: memory, count: byteCount)) }

  override func complete(_ error: IOError?) {
    let waiter = result.withLock { result in
      precondition(!result.isDone, "a request is completed once")
      result.isDone = true
      result.error = error
      return result.waiter
    }
    waiter?.resume()
  }

  /// Waits for the completion.
  func wait() async {
    await withUnsafeContinuation { continuation in
      let isDone = result.withLock { result in
        if !result.isDone { result.waiter = continuation }
        return result.isDone
      }
      if isDone { continuation.resume() }
    }
  }
}

extension BlockDevice {
  /// Submits a request and gives it back.
  @discardableResult
  func start(_ transfer: Transfer) -> Transfer {
    submit(transfer)
    return transfer
  }
}

/// Whole sectors of one byte.
func sectors(_ count: Int, of byte: UInt8) -> [UInt8] {
  [UInt8](repeating: byte, count: count * 512)
}

extension SimulatedDevice {
  /// The first byte of each of the first sectors, as the medium has it.
  func firstBytes(_ sectorCount: Int, durable isDurable: Bool = false) -> [UInt8] {
    let image = isDurable ? durable : visible
    return (0..<sectorCount).map { image.read(at: UInt64($0) * 512, byteCount: 1)[0] }
  }
}

extension CrashImage {
  /// The first byte of each of the first sectors.
  func firstBytes(_ sectorCount: Int) -> [UInt8] {
    (0..<sectorCount).map { image.read(at: UInt64($0) * 512, byteCount: 1)[0] }
  }
}
