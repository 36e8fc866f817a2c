import Glibc

/// Reading whole files and standard input into memory, with a bound.
public enum FileContents {
  /// Why a file was not read.
  public enum Failure: Error, Hashable, Sendable {
    /// It is longer than the bound.
    case tooLong
    /// It is not a regular file.
    case notRegular
    /// The system refused.
    case system(errorNumber: Int32)
  }

  /// Reads a regular file; a symbolic link is followed only where asked.
  ///
  /// - Throws: where the file cannot be read whole.
  public static func read(
    path: [UInt8], maximumByteCount: Int, followingLinks: Bool = false
  ) throws(Failure) -> [UInt8] {
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followingLinks ? 0 : O_NOFOLLOW)
    // SAFETY: the path ends with a zero and lives through the call.
    let descriptor = unsafe PathBytes.withCString(path) { unsafe open($0, flags) }
    guard descriptor >= 0 else { throw .system(errorNumber: errno) }
    defer { close(descriptor) }
    var status = stat()
    // SAFETY: `status` is a local variable.
    guard unsafe fstat(descriptor, &status) == 0 else { throw .system(errorNumber: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
    return try read(
      descriptor: descriptor, expectedByteCount: Int(status.st_size),
      maximumByteCount: maximumByteCount)
  }

  /// Reads a descriptor to its end.
  ///
  /// - Throws: where there is more than the bound allows, or the system refuses.
  public static func read(
    descriptor: Int32, expectedByteCount: Int = 0, maximumByteCount: Int
  ) throws(Failure) -> [UInt8] {
    guard expectedByteCount <= maximumByteCount else { throw .tooLong }
    var contents: [UInt8] = []
    // One byte more than expected shows the end without a second round.
    var chunkByteCount = max(expectedByteCount + 1, 4096)
    while true {
      let chunk = try readChunk(descriptor: descriptor, byteCount: chunkByteCount)
      if chunk.isEmpty { return contents }
      guard chunk.count <= maximumByteCount - contents.count else { throw .tooLong }
      if contents.isEmpty { contents = chunk } else { contents.append(contentsOf: chunk) }
      chunkByteCount = contents.count > expectedByteCount ? 64 << 10 : 4096
    }
  }

  /// Reads once; empty at the end.
  ///
  /// - Throws: where the system refuses.
  static func readChunk(descriptor: Int32, byteCount: Int) throws(Failure) -> [UInt8] {
    var failure: Int32?
    let chunk = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      while true {
        // SAFETY: the buffer has the capacity that is passed.
        let result = unsafe Glibc.read(descriptor, buffer.baseAddress, byteCount)
        if result >= 0 {
          count = result
          return
        }
        if errno != EINTR {
          failure = errno
          return
        }
      }
    }
    if let failure { throw .system(errorNumber: failure) }
    return chunk
  }
}
