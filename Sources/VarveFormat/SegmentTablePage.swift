// The segment table says what each segment is. It is authoritative: what may be freed, what is
// missing and where the user's log ends are judged by it and never guessed from the segments.
// Each of its pages stands in two copies of two slots; the newest valid one of the four counts, and
// a writer never touches the slot that holds it.

/// What a segment is.
public enum SegmentState: UInt8, Hashable, Sendable {
  /// Nothing in it counts; its generation is the last one used.
  case free = 0
  /// Frames may be appended to it; its end is found by reading it.
  case open = 1
  /// Complete: `endPageCount` says where its frames end.
  case sealed = 2
}

/// One segment's entry of the table, 16 bytes.
public struct SegmentEntry: Hashable, Sendable {
  /// What the segment is.
  public var state: SegmentState
  /// The stream that it belongs to.
  public var stream: StreamKind
  /// Whether a summary in two copies lies at its end.
  public var hasSummary: Bool
  /// Of a segment that compaction has filled to its end: how much of the pages of its frames its
  /// records needed then, in 128ths, rounded up. What is live in it later is compared with that.
  /// Else 0.
  public var fill: UInt8
  /// How often it has been put to use.
  public var generation: Generation
  /// The segment before it in its stream, or none.
  public var predecessor: SegmentIndex
  /// Pages of header and frames, where sealed; in an open segment of relocated records those that
  /// had been flushed when the entry was written.
  public var endPageCount: PageCount

  /// Describes a segment.
  public init(
    state: SegmentState, stream: StreamKind = .user, hasSummary: Bool = false, fill: UInt8 = 0,
    generation: Generation = Generation(0), predecessor: SegmentIndex = .none,
    endPageCount: PageCount = PageCount(0)
  ) {
    self.state = state
    self.stream = stream
    self.hasSummary = hasSummary
    self.fill = fill
    self.generation = generation
    self.predecessor = predecessor
    self.endPageCount = endPageCount
  }

  /// The share that records of so many packed bytes take of so many pages, as `fill` says it.
  public static func fill(packedByteCount: Int, pageCount: PageCount) -> UInt8 {
    let byteCount = max(1, pageCount.byteCount)
    return UInt8(min(255, (packedByteCount * 128 + byteCount - 1) / byteCount))
  }

  /// The packed bytes that `fill` stands for.
  public var packedByteCount: Int { endPageCount.byteCount * Int(fill) / 128 }

  enum Field {
    static let state = FieldLayout("state", 0, 1)
    static let stream = FieldLayout("stream", 1, 1)
    static let flags = FieldLayout("flags", 2, 1)
    static let fill = FieldLayout("fill", 3, 1)
    static let generation = FieldLayout("generation", 4, 4)
    static let predecessor = FieldLayout("predecessor", 8, 4)
    static let endPageCount = FieldLayout("endPageCount", 12, 4)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [
    Field.state, Field.stream, Field.flags, Field.fill, Field.generation, Field.predecessor,
    Field.endPageCount,
  ]

  /// Bytes of an entry.
  public static let byteCount = 16

  func encode(into page: inout MutableRawSpan, at byteOffset: Int) {
    page.store(state.rawValue, byteOffset + Field.state.byteOffset)
    page.store(stream.rawValue, byteOffset + Field.stream.byteOffset)
    page.store(hasSummary ? 1 as UInt8 : 0, byteOffset + Field.flags.byteOffset)
    page.store(fill, byteOffset + Field.fill.byteOffset)
    page.store(generation.rawValue, byteOffset + Field.generation.byteOffset)
    page.store(predecessor.rawValue, byteOffset + Field.predecessor.byteOffset)
    page.store(endPageCount.rawValue, byteOffset + Field.endPageCount.byteOffset)
  }

  init(decoding page: RawSpan, at byteOffset: Int) throws(FormatError) {
    guard let state = SegmentState(rawValue: page.load(byteOffset + Field.state.byteOffset)) else {
      throw .malformed("segment state")
    }
    let flags: UInt8 = page.load(byteOffset + Field.flags.byteOffset)
    guard flags <= 1 else { throw .malformed("segment flags") }
    self.init(
      state: state, stream: try page.stream(Field.stream, at: byteOffset), hasSummary: flags == 1,
      fill: page.load(byteOffset + Field.fill.byteOffset),
      generation: try page.generation(Field.generation, at: byteOffset),
      predecessor: SegmentIndex(page.load(byteOffset + Field.predecessor.byteOffset)),
      endPageCount: try page.pageCount(Field.endPageCount, at: byteOffset))
    guard state == .free || generation.rawValue > 0, state != .sealed || endPageCount.rawValue > 0
    else { throw .malformed("segment entry") }
  }
}

/// One page of the segment table.
public struct SegmentTablePage: Hashable, Sendable {
  /// How often this page of the table has been written: the highest valid one counts, and its
  /// parity names the slot.
  public var version: UInt64
  /// The number of the page in the table.
  public var ordinal: UInt32
  /// The entries of segments `ordinal * 252` and following.
  public var entries: [SegmentEntry]

  /// Describes a page of the table.
  public init(version: UInt64, ordinal: UInt32, entries: [SegmentEntry]) {
    self.version = version
    self.ordinal = ordinal
    self.entries = entries
  }

  /// Entries on a page.
  public static let entriesPerPage = 252

  enum Field {
    static let version = FieldLayout("version", 32, 8)
    static let ordinal = FieldLayout("ordinal", 40, 4)
    static let entryCount = FieldLayout("entryCount", 44, 4)
    static let reserved = FieldLayout("reserved", 48, 16)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [Field.version, Field.ordinal, Field.entryCount, Field.reserved]

  static let entriesByteOffset = 64

  /// The slot that this version is written to.
  public var slot: Int { Int(version & 1) }

  /// Writes a whole sealed page for the address `pageIndex`.
  public func encode(
    into page: inout MutableRawSpan, at pageIndex: PageIndex, uuid: StoreUUID, checksum: Checksum
  ) {
    page.zero(0..<Limits.pageByteCount)
    page.store(version, Field.version.byteOffset)
    page.store(ordinal, Field.ordinal.byteOffset)
    page.store(UInt32(entries.count), Field.entryCount.byteOffset)
    for (index, entry) in entries.enumerated() {
      entry.encode(
        into: &page, at: SegmentTablePage.entriesByteOffset + index * SegmentEntry.byteCount)
    }
    PageHeader(
      kind: .segmentTable, generation: Generation(0), page: pageIndex, segment: .none
    ).seal(&page, uuid: uuid, checksum: checksum)
  }

  /// Reads and verifies the page at `pageIndex`, which must be page `ordinal` of the table.
  public init(
    decoding page: RawSpan, at pageIndex: PageIndex, ordinal: UInt32, uuid: StoreUUID,
    checksum: Checksum
  ) throws(FormatError) {
    let header = try PageHeader.verify(
      page, at: pageIndex, generation: Generation(0), uuid: uuid, checksum: checksum)
    guard header.kind == .segmentTable, header.extentPageCount == PageCount(1),
      page.load(Field.ordinal.byteOffset, as: UInt32.self) == ordinal
    else { throw .notThisStructure }
    try page.requireZero(Field.reserved)
    let count = Int(page.load(Field.entryCount.byteOffset, as: UInt32.self))
    guard count <= SegmentTablePage.entriesPerPage else { throw .malformed("entry count") }
    var entries: [SegmentEntry] = []
    entries.reserveCapacity(count)
    for index in 0..<count {
      entries.append(
        try SegmentEntry(
          decoding: page,
          at: SegmentTablePage.entriesByteOffset + index * SegmentEntry.byteCount))
    }
    self.init(version: try page.counter(Field.version), ordinal: ordinal, entries: entries)
  }
}
