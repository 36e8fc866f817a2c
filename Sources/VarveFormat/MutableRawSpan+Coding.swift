// The writing half of the byte coding; see `RawSpan+Coding.swift`.

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
