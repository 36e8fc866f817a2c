import Glibc

/// Paths as bytes: a file name need not be UTF-8.
public enum PathBytes {
  /// Lends the path with a zero at its end to `body`. What follows a zero inside is cut off.
  static func withCString<Result>(
    _ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result
  ) -> Result {
    let text = path.map { CChar(bitPattern: $0) } + [0]
    // SAFETY: `text` is never empty, and the pointer is used within the closure.
    return unsafe text.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("an empty array") }
      return unsafe body(base)
    }
  }

  /// The path for people: bytes that are not UTF-8 are replaced.
  public static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }

  /// Whether the path leads to a block device.
  public static func isBlockDevice(_ path: [UInt8]) -> Bool {
    var status = stat()
    // SAFETY: the path ends with a zero and lives through the call.
    let result = unsafe withCString(path) { unsafe stat($0, &status) }
    return result == 0 && status.st_mode & S_IFMT == S_IFBLK
  }
}
