import Glibc
import Synchronization

/// A buffered writer on a descriptor that is not closed here. Lines from several tasks do not mix.
public final class ByteOutput: Sendable {
  /// Data for the caller.
  public static let standard = ByteOutput(descriptor: 1)
  /// Messages and progress.
  public static let messages = ByteOutput(descriptor: 2)

  /// Bytes gathered before they are written.
  private static let bufferByteCount = 64 << 10

  private let descriptor: Int32
  private let pending = Mutex<[UInt8]>([])

  private init(descriptor: Int32) { self.descriptor = descriptor }

  /// Whether the descriptor is a terminal.
  public var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Appends bytes; they are written when enough have gathered.
  ///
  /// - Throws: where the reader is gone or the disk is full.
  public func write(_ bytes: [UInt8]) throws(ToolError) {
    try pending.withLock { pending throws(ToolError) in
      pending.append(contentsOf: bytes)
      if pending.count >= Self.bufferByteCount { try drain(&pending) }
    }
  }

  /// Appends a line of text.
  ///
  /// - Throws: as `write(_:)`.
  public func writeLine(_ text: String) throws(ToolError) {
    try write(Array(text.utf8) + [10])
  }

  /// Appends a JSON value on a line of its own.
  ///
  /// - Throws: as `write(_:)`.
  public func writeLine(_ value: JSONValue) throws(ToolError) {
    var line = value.encoded
    line.append(10)
    try write(line)
  }

  /// Writes what has gathered.
  ///
  /// - Throws: as `write(_:)`.
  public func flush() throws(ToolError) {
    try pending.withLock { pending throws(ToolError) in try drain(&pending) }
  }

  private func drain(_ pending: inout [UInt8]) throws(ToolError) {
    var written = 0
    while written < pending.count {
      // SAFETY: the pointer is used within the closure, for the bytes of the array.
      let count = unsafe pending.withUnsafeBytes { bytes in
        unsafe Glibc.write(
          descriptor, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
      }
      guard count > 0 else {
        let reason = errno
        if count < 0, reason == EINTR || reason == EAGAIN { continue }
        pending.removeAll()
        throw .system(
          "writing to standard \(descriptor == 1 ? "output" : "error")", errorNumber: reason)
      }
      written += count
    }
    pending.removeAll(keepingCapacity: true)
  }
}
