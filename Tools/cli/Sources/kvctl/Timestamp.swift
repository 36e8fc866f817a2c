import Glibc

/// A moment as people read it.
enum Timestamp {
  /// Milliseconds since 1970, in UTC to the second.
  static func text(_ milliseconds: UInt64) -> String {
    var seconds = time_t(milliseconds / 1000)
    // SAFETY: `tm` holds numbers, and a pointer to a name that is not looked at.
    var parts = unsafe tm()
    var buffer = [CChar](repeating: 0, count: 64)
    // SAFETY: all three are local variables, and the length is that of the buffer.
    guard unsafe gmtime_r(&seconds, &parts) != nil,
      unsafe strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M:%S UTC", &parts) > 0
    else { return "\(milliseconds) ms since 1970" }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
