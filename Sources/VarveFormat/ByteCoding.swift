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

extension MutableRawSpan {
  /// Writes an integer, little-endian, at `byteOffset`.
  @inlinable
  public mutating func store<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, _ byteOffset: Int
  ) {
    storeBytes(of: value.littleEndian, toByteOffset: byteOffset, as: T.self)
  }

  /// Copies bytes to `byteOffset`.
  @inlinable
  public mutating func copy(_ bytes: RawSpan, to byteOffset: Int) {
    precondition(byteOffset >= 0 && byteOffset <= byteCount - bytes.byteCount, "copy out of range")
    unsafe withUnsafeMutableBytes { target in
      unsafe bytes.withUnsafeBytes { source in
        // SAFETY: the range was checked above, and two live spans cannot overlap.
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        unsafe (to + byteOffset).copyMemory(from: from, byteCount: source.count)
      }
    }
  }

  /// Sets a range to zero.
  @inlinable
  public mutating func zero(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "range out of bounds")
    unsafe withUnsafeMutableBytes { target in
      // SAFETY: the range was checked above.
      _ = unsafe UnsafeMutableRawBufferPointer(rebasing: target[range]).initializeMemory(
        as: UInt8.self, repeating: 0)
    }
  }
}
