// Fixed-width little-endian integers at a byte offset: the only way bytes of the format are read
// or written. Offsets are checked by the span; callers check lengths from disk before they slice.

extension RawSpan {
  /// The little-endian integer at `byteOffset`.
  @inlinable
  public func load<T: FixedWidthInteger & BitwiseCopyable>(
    _ byteOffset: Int, as type: T.Type = T.self
  ) -> T {
    // SAFETY: integers have no invalid bit patterns, and the span checks the bounds.
    unsafe T(littleEndian: unsafeLoadUnaligned(fromByteOffset: byteOffset, as: T.self))
  }

  /// Whether every byte is zero.
  @inlinable public var isAllZero: Bool {
    var offset = 0
    while offset + 8 <= byteCount {
      if load(offset, as: UInt64.self) != 0 { return false }
      offset += 8
    }
    while offset < byteCount {
      if load(offset, as: UInt8.self) != 0 { return false }
      offset += 1
    }
    return true
  }

  /// Whether two spans hold the same bytes.
  @inlinable public func hasSameBytes(as other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var offset = 0
    while offset + 8 <= byteCount {
      if load(offset, as: UInt64.self) != other.load(offset, as: UInt64.self) { return false }
      offset += 8
    }
    while offset < byteCount {
      if load(offset, as: UInt8.self) != other.load(offset, as: UInt8.self) { return false }
      offset += 1
    }
    return true
  }

  /// A copy of the bytes.
  @inlinable public func copied() -> [UInt8] {
    unsafe withUnsafeBytes { unsafe [UInt8]($0) }
  }
}
