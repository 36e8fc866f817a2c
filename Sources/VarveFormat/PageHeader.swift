// What every page of a segment and of the segment table begins with, and how pages are sealed and
// verified. A structure of several pages (an extent) has one header and one checksum over all of
// it.

/// The kinds of page.
public enum PageKind: UInt8, Hashable, Sendable {
  /// The first page of a segment.
  case segmentHeader = 1
  /// The first extent of a frame.
  case frameStart = 2
  /// A further extent of a frame.
  case frameContinuation = 3
  /// A page of a segment's summary.
  case summary = 4
  /// A page of an index checkpoint.
  case checkpoint = 5
  /// A page of the segment table.
  case segmentTable = 6
}

/// The common header of a page or extent.
public struct PageHeader: Hashable, Sendable {
  /// What the page is.
  public var kind: PageKind
  /// Records in the extent.
  public var recordCount: UInt16
  /// The use of the segment; 0 in the segment table.
  public var generation: Generation
  /// Pages that the checksum covers.
  public var extentPageCount: PageCount
  /// The page's own address.
  public var page: PageIndex
  /// The segment; `SegmentIndex.none` in the segment table.
  public var segment: SegmentIndex

  /// Describes a page.
  public init(
    kind: PageKind, recordCount: UInt16 = 0, generation: Generation,
    extentPageCount: PageCount = PageCount(1), page: PageIndex, segment: SegmentIndex
  ) {
    self.kind = kind
    self.recordCount = recordCount
    self.generation = generation
    self.extentPageCount = extentPageCount
    self.page = page
    self.segment = segment
  }

  enum Field {
    static let checksum = FieldLayout("checksum", 0, 4)
    static let kind = FieldLayout("kind", 4, 1)
    static let formatVersion = FieldLayout("formatVersion", 5, 1)
    static let recordCount = FieldLayout("recordCount", 6, 2)
    static let generation = FieldLayout("generation", 8, 4)
    static let extentPageCount = FieldLayout("extentPageCount", 12, 4)
    static let page = FieldLayout("page", 16, 8)
    static let uuidPrefix = FieldLayout("uuidPrefix", 24, 4)
    static let segment = FieldLayout("segment", 28, 4)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [
    Field.checksum, Field.kind, Field.formatVersion, Field.recordCount, Field.generation,
    Field.extentPageCount, Field.page, Field.uuidPrefix, Field.segment,
  ]

  /// Bytes of the header.
  public static let byteCount = 32

  /// Writes the header and seals the extent with its checksum, which it returns. Everything else
  /// in `extent` is in place already.
  @discardableResult
  public func seal(_ extent: inout MutableRawSpan, uuid: StoreUUID, checksum: Checksum) -> UInt32 {
    precondition(extent.byteCount == extentPageCount.byteCount, "an extent is sealed whole")
    extent.store(kind.rawValue, Field.kind.byteOffset)
    extent.store(UInt8(Superblock.formatVersion), Field.formatVersion.byteOffset)
    extent.store(recordCount, Field.recordCount.byteOffset)
    extent.store(generation.rawValue, Field.generation.byteOffset)
    extent.store(extentPageCount.rawValue, Field.extentPageCount.byteOffset)
    extent.store(page.rawValue, Field.page.byteOffset)
    extent.store(uuid.prefix, Field.uuidPrefix.byteOffset)
    extent.store(segment.rawValue, Field.segment.byteOffset)
    let value = checksum.of(
      extent.bytes.extracting(4..<extent.byteCount), generation: generation, page: page)
    extent.store(value, Field.checksum.byteOffset)
    return value
  }

  /// The checksum that a sealed extent carries.
  @inlinable
  public static func checksumField(of extent: RawSpan) -> UInt32 { extent.load(0) }

  /// Reads the header without verifying the checksum: bounds only, so that a reader learns how
  /// many pages to verify.
  public static func peek(_ bytes: RawSpan, uuid: StoreUUID) throws(FormatError) -> PageHeader {
    guard bytes.byteCount >= Limits.pageByteCount else { throw .malformed("short page") }
    guard let kind = PageKind(rawValue: bytes.load(Field.kind.byteOffset)),
      bytes.load(Field.uuidPrefix.byteOffset, as: UInt32.self) == uuid.prefix
    else {
      throw bytes.extracting(0..<Limits.pageByteCount).isAllZero ? .blank : .notThisStructure
    }
    guard
      bytes.load(Field.formatVersion.byteOffset, as: UInt8.self) == UInt8(Superblock.formatVersion)
    else { throw .notThisStructure }
    let recordCount: UInt16 = bytes.load(Field.recordCount.byteOffset)
    let extentPageCount: UInt32 = bytes.load(Field.extentPageCount.byteOffset)
    guard extentPageCount >= 1, extentPageCount <= UInt32(Limits.maximumExtentPageCount) else {
      throw .malformed("extentPageCount")
    }
    // Only frames hold records, and only one record has an extent of several pages.
    let isFrame = kind == .frameStart || kind == .frameContinuation
    guard isFrame ? extentPageCount == 1 || recordCount == 1 : recordCount == 0 else {
      throw .malformed("recordCount")
    }
    guard isFrame || extentPageCount == 1 else { throw .malformed("extentPageCount") }
    return PageHeader(
      kind: kind, recordCount: recordCount,
      generation: Generation(bytes.load(Field.generation.byteOffset)),
      extentPageCount: PageCount(extentPageCount),
      page: PageIndex(bytes.load(Field.page.byteOffset)),
      segment: SegmentIndex(bytes.load(Field.segment.byteOffset)))
  }

  /// Verifies the extent that begins at the start of `bytes` and must be of the given use of the
  /// segment and at the given address.
  ///
  /// - Throws: why it is not that extent.
  public static func verify(
    _ bytes: RawSpan, at page: PageIndex, generation: Generation, uuid: StoreUUID,
    checksum: Checksum
  ) throws(FormatError) -> PageHeader {
    let header = try peek(bytes, uuid: uuid)
    guard header.page == page, header.generation == generation else { throw .stale }
    let pages = Int(header.extentPageCount.rawValue)
    guard pages <= bytes.byteCount / Limits.pageByteCount else {
      throw .malformed("extentPageCount")
    }
    let extent = bytes.extracting(4..<pages * Limits.pageByteCount)
    guard checksum.of(extent, generation: generation, page: page) == checksumField(of: bytes)
    else { throw .checksum }
    return header
  }
}
