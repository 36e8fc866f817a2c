/// Where an index checkpoint begins to be read: its root page, which names the rest.
public struct CheckpointReference: Hashable, Sendable {
  /// The checkpoint's number; 0 is "no checkpoint".
  public var identifier: UInt64
  /// The root page.
  public var rootPage: PageIndex
  /// The generation of the segment that holds the root page.
  public var rootGeneration: Generation

  /// Names a checkpoint.
  public init(identifier: UInt64, rootPage: PageIndex, rootGeneration: Generation) {
    self.identifier = identifier
    self.rootPage = rootPage
    self.rootGeneration = rootGeneration
  }

  enum Field {
    static let identifier = FieldLayout("identifier", 0, 8)
    static let rootPage = FieldLayout("rootPage", 8, 8)
    static let rootGeneration = FieldLayout("rootGeneration", 16, 4)
    static let reserved = FieldLayout("reserved", 20, 4)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [
    Field.identifier, Field.rootPage, Field.rootGeneration, Field.reserved,
  ]

  /// Bytes of a reference.
  public static let byteCount = 24

  static func encode(
    _ reference: CheckpointReference?, into page: inout MutableRawSpan, at byteOffset: Int
  ) {
    page.store(reference?.identifier ?? 0, byteOffset + Field.identifier.byteOffset)
    page.store(reference?.rootPage.rawValue ?? 0, byteOffset + Field.rootPage.byteOffset)
    page.store(
      reference?.rootGeneration.rawValue ?? 0, byteOffset + Field.rootGeneration.byteOffset)
  }

  static func decode(_ page: RawSpan, at byteOffset: Int) -> CheckpointReference? {
    let identifier: UInt64 = page.load(byteOffset + Field.identifier.byteOffset)
    guard identifier != 0 else { return nil }
    return CheckpointReference(
      identifier: identifier,
      rootPage: PageIndex(page.load(byteOffset + Field.rootPage.byteOffset)),
      rootGeneration: Generation(page.load(byteOffset + Field.rootGeneration.byteOffset)))
  }
}
