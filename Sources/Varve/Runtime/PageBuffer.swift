import VarveFormat
import VarveIO

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
