/// One field of an on-disk structure. Each layout is stated once, as a list of these: the codec
/// takes its offsets from it, and a test compares FORMAT.md with it.
public struct FieldLayout: Hashable, Sendable {
  /// The name, as in FORMAT.md.
  public let name: String
  /// Bytes from the start of the structure.
  public let byteOffset: Int
  /// Bytes that the field takes.
  public let byteCount: Int

  /// Describes a field.
  public init(_ name: String, _ byteOffset: Int, _ byteCount: Int) {
    self.name = name
    self.byteOffset = byteOffset
    self.byteCount = byteCount
  }

  /// The first byte after the field.
  public var end: Int { byteOffset + byteCount }
}

// What decoders do with numbers from the medium, which are hostile until checked.
extension RawSpan {
  /// Rejects a structure in which a field that no writer of this version uses is not zero.
  func requireZero(_ field: FieldLayout, at base: Int = 0) throws(FormatError) {
    guard extracting(base + field.byteOffset..<base + field.end).isAllZero else {
      throw .malformed(field.name)
    }
  }

  /// A number that is counted on from.
  func counter(_ field: FieldLayout, at base: Int = 0) throws(FormatError) -> UInt64 {
    let value: UInt64 = load(base + field.byteOffset)
    guard value <= Limits.maximumCounter else { throw .malformed(field.name) }
    return value
  }

  /// A sequence number.
  func sequence(_ field: FieldLayout, at base: Int = 0) throws(FormatError) -> SequenceNumber {
    SequenceNumber(try counter(field, at: base))
  }

  /// The use of a segment.
  func generation(_ field: FieldLayout, at base: Int = 0) throws(FormatError) -> Generation {
    let value: UInt32 = load(base + field.byteOffset)
    guard value <= Limits.maximumGeneration else { throw .malformed(field.name) }
    return Generation(value)
  }

  /// A number of pages, at most `bound`.
  func pageCount(
    _ field: FieldLayout, at base: Int = 0, atMost bound: Int = Limits.maximumSegmentPageCount
  ) throws(FormatError) -> PageCount {
    let value: UInt32 = load(base + field.byteOffset)
    guard value <= UInt32(bound) else { throw .malformed(field.name) }
    return PageCount(value)
  }

  /// A stream.
  func stream(_ field: FieldLayout, at base: Int = 0) throws(FormatError) -> StreamKind {
    guard let stream = StreamKind(rawValue: load(base + field.byteOffset)) else {
      throw .malformed(field.name)
    }
    return stream
  }
}
