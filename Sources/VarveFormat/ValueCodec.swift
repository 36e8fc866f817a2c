import CVarveLZ4

/// Compression of values: one LZ4 block each, kept only where it saves enough.
public enum ValueCodec {
  /// Shorter values are stored as they are: the block's overhead eats the gain.
  public static let minimumByteCount = 64

  /// Bytes that a compressed value of `byteCount` bytes may take and still be worth it: an eighth
  /// must be saved.
  public static func worthwhileByteCount(_ byteCount: Int) -> Int { byteCount - byteCount / 8 }

  /// Compresses `value` into `output` (at least `worthwhileByteCount` bytes).
  ///
  /// - Returns: the bytes written, or nil where too little would be saved.
  public static func compress(_ value: RawSpan, into output: inout MutableRawSpan) -> Int? {
    guard value.byteCount >= minimumByteCount else { return nil }
    let limit = min(output.byteCount, worthwhileByteCount(value.byteCount))
    let written = unsafe output.withUnsafeMutableBytes { target in
      unsafe value.withUnsafeBytes { source in
        // SAFETY: LZ4 writes at most `limit` bytes and reports 0 where they do not suffice.
        unsafe LZ4_compress_default(
          source.baseAddress, target.baseAddress, Int32(source.count), Int32(limit))
      }
    }
    return written > 0 ? Int(written) : nil
  }

  /// Expands an LZ4 block of `byteCount` bytes.
  ///
  /// - Throws: `FormatError.malformed` when the block is not one of that byte count.
  public static func decompressed(
    _ block: RawSpan, byteCount: Int
  ) throws(FormatError) -> [UInt8] {
    guard byteCount > 0 else { throw .malformed("LZ4 block") }
    var failure: FormatError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { target, count in
      // SAFETY: as many bytes as the array has room for; on failure none of them counts.
      var output = unsafe MutableRawSpan(
        _unsafeBytes: UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: target[..<byteCount])))
      do throws(FormatError) {
        try decompress(block, into: &output)
        count = byteCount
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Expands an LZ4 block into exactly `output`.
  ///
  /// - Throws: `FormatError.malformed` when the block is not one of that byte count.
  public static func decompress(
    _ block: RawSpan, into output: inout MutableRawSpan
  ) throws(FormatError) {
    let expected = output.byteCount
    guard expected <= Limits.maximumValueByteCount, block.byteCount <= expected else {
      throw .malformed("LZ4 block")
    }
    let written = unsafe output.withUnsafeMutableBytes { target in
      unsafe block.withUnsafeBytes { source in
        // SAFETY: the safe decoder reads and writes within the two counts whatever the input.
        unsafe LZ4_decompress_safe(
          source.baseAddress, target.baseAddress, Int32(source.count), Int32(target.count))
      }
    }
    guard Int(written) == expected else { throw .malformed("LZ4 block") }
  }
}
