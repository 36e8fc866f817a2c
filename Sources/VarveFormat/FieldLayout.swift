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
