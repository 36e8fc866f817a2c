// A segment's footer is its summary: which keys its records are of, in two copies of pages that
// each stand alone. It lets recovery rebuild the index without reading the records, and it is the
// witness that a lost page held the newest version of a key. 14 bytes a record are typical.

/// One record, as the summary names it.
public struct SummaryEntry: Hashable, Sendable {
  /// The hash of the key.
  public var hash: KeyHash
  /// The record's place in the order of writes.
  public var sequence: SequenceNumber
  /// Where the record lies.
  public var location: RecordLocation
  /// When the record expires, in milliseconds since 1970; 0 is never.
  public var expiryMilliseconds: UInt64

  /// Names a record.
  public init(
    hash: KeyHash, sequence: SequenceNumber, location: RecordLocation, expiryMilliseconds: UInt64
  ) {
    self.hash = hash
    self.sequence = sequence
    self.location = location
    self.expiryMilliseconds = expiryMilliseconds
  }
}

/// What every page of a summary repeats about its segment.
public struct SummaryFacts: Hashable, Sendable {
  /// Records of the whole segment.
  public var recordCount: UInt32
  /// Pages of header and frames.
  public var endPageCount: PageCount
  /// Pages of one copy of the summary.
  public var summaryPageCount: PageCount
  /// The checksum of the segment's last frame, or of its header.
  public var lastFrameChecksum: UInt32
  /// The lowest sequence number in the segment; 0 without records.
  public var firstSequence: SequenceNumber
  /// The highest sequence number in the segment; 0 without records.
  public var lastSequence: SequenceNumber
  /// The stream.
  public var stream: StreamKind

  /// Describes a sealed segment.
  public init(
    recordCount: UInt32, endPageCount: PageCount, summaryPageCount: PageCount,
    lastFrameChecksum: UInt32, firstSequence: SequenceNumber, lastSequence: SequenceNumber,
    stream: StreamKind
  ) {
    self.recordCount = recordCount
    self.endPageCount = endPageCount
    self.summaryPageCount = summaryPageCount
    self.lastFrameChecksum = lastFrameChecksum
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.stream = stream
  }
}

/// One page of a summary.
public enum SummaryPage {
  enum Field {
    static let entryCount = FieldLayout("entryCount", 32, 2)
    static let stream = FieldLayout("stream", 34, 1)
    static let reserved = FieldLayout("reserved", 35, 1)
    static let ordinal = FieldLayout("ordinal", 36, 4)
    static let summaryPageCount = FieldLayout("summaryPageCount", 40, 4)
    static let recordCount = FieldLayout("recordCount", 44, 4)
    static let endPageCount = FieldLayout("endPageCount", 48, 4)
    static let lastFrameChecksum = FieldLayout("lastFrameChecksum", 52, 4)
    static let firstSequence = FieldLayout("firstSequence", 56, 8)
    static let lastSequence = FieldLayout("lastSequence", 64, 8)
    static let basePage = FieldLayout("basePage", 72, 8)
    static let baseSequence = FieldLayout("baseSequence", 80, 8)
    static let entriesByteCount = FieldLayout("entriesByteCount", 88, 2)
    static let reserved2 = FieldLayout("reserved2", 90, 6)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [
    Field.entryCount, Field.stream, Field.reserved, Field.ordinal, Field.summaryPageCount,
    Field.recordCount, Field.endPageCount, Field.lastFrameChecksum, Field.firstSequence,
    Field.lastSequence, Field.basePage, Field.baseSequence, Field.entriesByteCount,
    Field.reserved2,
  ]

  static let entriesByteOffset = 96
  static let entryCapacity = Limits.pageByteCount - entriesByteOffset
  static let tombstoneBit: UInt8 = 1
  static let expiryBit: UInt8 = 2
  static let nextSequenceBit: UInt8 = 4
  static let samePageBit: UInt8 = 8
  static let onePageBit: UInt8 = 16
  /// The longest entry: hash 11, control 1, slot 1, size 1, page 10, sequence 10, expiry 8.
  static let maximumEntryByteCount = 42

  /// Completes and seals a page that a `SummaryBuilder` filled.
  public static func seal(
    _ page: inout MutableRawSpan, facts: SummaryFacts, ordinal: UInt32, at pageIndex: PageIndex,
    generation: Generation, segment: SegmentIndex, uuid: StoreUUID, checksum: Checksum
  ) {
    page.store(ordinal, Field.ordinal.byteOffset)
    page.store(facts.stream.rawValue, Field.stream.byteOffset)
    page.store(facts.summaryPageCount.rawValue, Field.summaryPageCount.byteOffset)
    page.store(facts.recordCount, Field.recordCount.byteOffset)
    page.store(facts.endPageCount.rawValue, Field.endPageCount.byteOffset)
    page.store(facts.lastFrameChecksum, Field.lastFrameChecksum.byteOffset)
    page.store(facts.firstSequence.rawValue, Field.firstSequence.byteOffset)
    page.store(facts.lastSequence.rawValue, Field.lastSequence.byteOffset)
    PageHeader(kind: .summary, generation: generation, page: pageIndex, segment: segment)
      .seal(&page, uuid: uuid, checksum: checksum)
  }

  /// Reads the facts of a verified summary page that must be the `ordinal`-th.
  public static func facts(
    of page: RawSpan, ordinal: UInt32?
  ) throws(FormatError) -> SummaryFacts {
    if let ordinal, page.load(Field.ordinal.byteOffset, as: UInt32.self) != ordinal {
      throw .malformed("summary page ordinal")
    }
    try page.requireZero(Field.reserved)
    try page.requireZero(Field.reserved2)
    return SummaryFacts(
      recordCount: page.load(Field.recordCount.byteOffset),
      endPageCount: try page.pageCount(Field.endPageCount),
      summaryPageCount: try page.pageCount(Field.summaryPageCount),
      lastFrameChecksum: page.load(Field.lastFrameChecksum.byteOffset),
      firstSequence: try page.sequence(Field.firstSequence),
      lastSequence: try page.sequence(Field.lastSequence), stream: try page.stream(Field.stream))
  }

  /// The entries of a verified summary page, in the order of the log.
  public static func entries(
    of page: RawSpan, into entries: inout [SummaryEntry]
  ) throws(FormatError) {
    let count = Int(page.load(Field.entryCount.byteOffset, as: UInt16.self))
    var reader = try SummaryReader(page: page)
    for _ in 0..<count { entries.append(try reader.next(page)) }
    guard reader.isAtEnd else { throw .malformed("entriesByteCount") }
  }
}

/// Decodes the entries of one page: each is a delta to the one before.
struct SummaryReader {
  private var cursor = SummaryPage.entriesByteOffset
  private let end: Int
  private var page: UInt64
  private var sequence: UInt64

  /// Whether every byte of the entries has been read.
  var isAtEnd: Bool { cursor == end }

  init(page bytes: RawSpan) throws(FormatError) {
    let byteCount = Int(
      bytes.load(SummaryPage.Field.entriesByteCount.byteOffset, as: UInt16.self))
    guard byteCount <= SummaryPage.entryCapacity else { throw .malformed("entriesByteCount") }
    end = SummaryPage.entriesByteOffset + byteCount
    page = bytes.load(SummaryPage.Field.basePage.byteOffset)
    sequence = bytes.load(SummaryPage.Field.baseSequence.byteOffset)
  }

  mutating func next(_ bytes: RawSpan) throws(FormatError) -> SummaryEntry {
    let fingerprint: UInt64 = try take(bytes)
    let selectorLow: UInt16 = try take(bytes)
    let selectorHigh: UInt8 = try take(bytes)
    let control: UInt8 = try take(bytes)
    let slot: UInt8 = try take(bytes)
    guard control < 32 else { throw .malformed("summary entry") }
    let size: UInt8 = try take(bytes)
    let isOnePage = control & SummaryPage.onePageBit != 0
    guard isOnePage ? size < 64 : size > 0 else { throw .malformed("summary size") }
    if control & SummaryPage.samePageBit == 0 { page = page &+ (try takeVariable(bytes)) }
    if control & SummaryPage.nextSequenceBit != 0 {
      sequence = sequence &+ 1
    } else {
      let zigzag = try takeVariable(bytes)
      sequence = sequence &+ (zigzag >> 1 ^ (0 &- (zigzag & 1)))
    }
    let hasExpiry = control & SummaryPage.expiryBit != 0
    let expiry: UInt64 = hasExpiry ? try take(bytes) : 0
    guard !hasExpiry || expiry > 0 else { throw .malformed("summary expiry") }
    guard page < Limits.maximumPageCount else { throw .malformed("summary page address") }
    guard sequence >= 1, sequence <= Limits.maximumCounter else {
      throw .malformed("summary sequence")
    }
    return SummaryEntry(
      hash: KeyHash(
        fingerprint: fingerprint, selector: UInt32(selectorLow) | UInt32(selectorHigh) << 16),
      sequence: SequenceNumber(sequence),
      location: RecordLocation(
        page: PageIndex(page), slot: slot, lengthHint: isOnePage ? 0 : size,
        sizeClass: isOnePage ? size : 0,
        isTombstone: control & SummaryPage.tombstoneBit != 0, hasExpiry: hasExpiry),
      expiryMilliseconds: expiry)
  }

  private mutating func take<T: FixedWidthInteger & BitwiseCopyable>(
    _ bytes: RawSpan
  ) throws(FormatError) -> T {
    guard cursor + MemoryLayout<T>.size <= end else { throw .malformed("summary entry") }
    defer { cursor += MemoryLayout<T>.size }
    return bytes.load(cursor)
  }

  private mutating func takeVariable(_ bytes: RawSpan) throws(FormatError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while shift < 64 {
      let byte: UInt8 = try take(bytes)
      value |= UInt64(byte & 127) << shift
      if byte < 128 { return value }
      shift += 7
    }
    throw .malformed("summary number")
  }
}
