import Glibc

/// Small texts that the kernel answers with (/proc, /sys).
enum KernelText {
  /// Reads one without its last line break, up to a bound; empty where it cannot be read.
  static func read(_ path: String, maximumByteCount: Int = 1 << 20) -> String {
    let number = openDescriptor(path, flags: O_RDONLY)
    guard number >= 0 else { return "" }
    let descriptor = Descriptor(adopting: number)
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while bytes.count < maximumByteCount {
      // SAFETY: read fills at most the bytes of the chunk that it is lent.
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe Glibc.read(descriptor.rawValue, $0.baseAddress, $0.count)
      }
      guard count > 0 else { break }
      bytes.append(contentsOf: chunk[..<count])
    }
    while bytes.last == 10 { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }
}
