import Console
import Glibc

/// A file for a drawing. What is there and is no drawing is left alone: a store named in the wrong
/// place must not become a picture of itself.
enum DrawingFile {
  private static let mark = Array("<svg".utf8)

  static func write(_ bytes: [UInt8], to path: String) throws(ToolError) {
    let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
    // SAFETY: Swift lends the path as a zero-terminated string for the duration of the call.
    let descriptor = unsafe open(path, flags, 0o644)
    guard descriptor >= 0 else { throw .system("opening \(path)", errorNumber: errno) }
    defer { close(descriptor) }
    try requireDrawing(descriptor, path)
    guard ftruncate(descriptor, 0) == 0 else {
      throw .system("writing \(path)", errorNumber: errno)
    }
    var written = 0
    while written < bytes.count {
      // SAFETY: the pointer is used within the closure, for the bytes of the array.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe pwrite(
          descriptor, buffer.baseAddress.map { unsafe $0 + written }, buffer.count - written,
          off_t(written))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .system("writing \(path)", errorNumber: errno) }
      written += count
    }
  }

  /// Refuses what is neither empty nor a drawing.
  private static func requireDrawing(_ descriptor: Int32, _ path: String) throws(ToolError) {
    var status = stat()
    // SAFETY: the structure is a local variable.
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .system("looking at \(path)", errorNumber: errno)
    }
    var beginning = [UInt8](repeating: 0, count: mark.count)
    // SAFETY: the call fills at most the bytes of the array.
    let count = unsafe pread(descriptor, &beginning, beginning.count, 0)
    guard status.st_mode & S_IFMT == S_IFREG, count == 0 || beginning == mark else {
      throw ToolError(
        .refused, code: "refused",
        "\(path) is there and is no SVG drawing: it was left alone; name another file")
    }
  }
}
