// An index checkpoint: the index's entries, the generations of all segments when it began, and a
// root page that says how to go on from it. It fills segments of its own stream, page after page
// behind each segment header. It is only a cache of the log: a bad page voids the checkpoint, not
// the data.

/// What a page of a checkpoint holds.
public enum CheckpointPageKind: UInt8, Hashable, Sendable {
  /// Index entries.
  case entries = 1
  /// Segment generations.
  case generations = 2
  /// The root.
  case root = 3
}

/// One index entry, as a checkpoint holds it: 20 bytes.
public struct CheckpointEntry: Hashable, Sendable {
  /// The hash of the key, as far as the index kept it: the selector's high bits name the shard.
  public var hash: KeyHash
  /// Where the record lies.
  public var location: RecordLocation

  /// Describes an entry.
  public init(hash: KeyHash, location: RecordLocation) {
    self.hash = hash
    self.location = location
  }
}

/// The root of a checkpoint.
public struct CheckpointRoot: Hashable, Sendable {
  /// The checkpoint's number.
  public var identifier: UInt64
  /// Records above this sequence number are taken from the log.
  public var cutSequence: SequenceNumber
  /// The segment in which the log after the checkpoint begins.
  public var replaySegment: SegmentIndex
  /// Its generation.
  public var replayGeneration: Generation
  /// The page in it, counted from its first.
  public var replayPageCount: PageCount
  /// Entries in all pages.
  public var entryCount: UInt64
  /// Pages of entries and generations, before the root.
  public var pageCount: UInt64
  /// Bits of the selector that every entry has.
  public var selectorBitCount: UInt8
  /// CRC32C of the checksums of all pages before the root, in order.
  public var pagesChecksum: UInt32
  /// Segments that the checkpoint fills.
  public var segmentCount: UInt32

  /// Describes a checkpoint.
  public init(
    identifier: UInt64, cutSequence: SequenceNumber, replaySegment: SegmentIndex,
    replayGeneration: Generation, replayPageCount: PageCount, entryCount: UInt64,
    pageCount: UInt64, selectorBitCount: UInt8, pagesChecksum: UInt32, segmentCount: UInt32
  ) {
    self.identifier = identifier
    self.cutSequence = cutSequence
    self.replaySegment = replaySegment
    self.replayGeneration = replayGeneration
    self.replayPageCount = replayPageCount
    self.entryCount = entryCount
    self.pageCount = pageCount
    self.selectorBitCount = selectorBitCount
    self.pagesChecksum = pagesChecksum
    self.segmentCount = segmentCount
  }
}

/// Encoding and decoding of checkpoint pages.
public enum CheckpointPage {
  enum Field {
    static let identifier = FieldLayout("identifier", 32, 8)
    static let ordinal = FieldLayout("ordinal", 40, 8)
    static let pageKind = FieldLayout("pageKind", 48, 1)
    static let reserved = FieldLayout("reserved", 49, 3)
    static let count = FieldLayout("count", 52, 4)
  }

  enum RootField {
    static let cutSequence = FieldLayout("cutSequence", 56, 8)
    static let replaySegment = FieldLayout("replaySegment", 64, 4)
    static let replayGeneration = FieldLayout("replayGeneration", 68, 4)
    static let replayPageCount = FieldLayout("replayPageCount", 72, 4)
    static let pagesChecksum = FieldLayout("pagesChecksum", 76, 4)
    static let entryCount = FieldLayout("entryCount", 80, 8)
    static let pageCount = FieldLayout("pageCount", 88, 8)
    static let segmentCount = FieldLayout("segmentCount", 96, 4)
    static let selectorBitCount = FieldLayout("selectorBitCount", 100, 1)
    static let reserved = FieldLayout("reserved", 101, 3)
  }

  enum EntryField {
    static let fingerprint = FieldLayout("fingerprint", 0, 8)
    static let location = FieldLayout("location", 8, 8)
    static let selector = FieldLayout("selector", 16, 4)
  }

  static let generationField = FieldLayout("generation", 0, 4)

  /// The layout that all pages share, for FORMAT.md.
  public static let layout = [
    Field.identifier, Field.ordinal, Field.pageKind, Field.reserved, Field.count,
  ]

  /// The layout of the root after that, for FORMAT.md.
  public static let rootLayout = [
    RootField.cutSequence, RootField.replaySegment, RootField.replayGeneration,
    RootField.replayPageCount, RootField.pagesChecksum, RootField.entryCount,
    RootField.pageCount, RootField.segmentCount, RootField.selectorBitCount, RootField.reserved,
  ]
  /// The layout of one index entry, from its own start, for FORMAT.md.
  public static let entryLayout = [
    EntryField.fingerprint, EntryField.location, EntryField.selector,
  ]
  /// The layout of one generation, from its own start, for FORMAT.md.
  public static let generationLayout = [generationField]

  static let bodyByteOffset = 56
  static let entryByteCount = 20
  /// Index entries on a page.
  public static let entriesPerPage = (Limits.pageByteCount - bodyByteOffset) / entryByteCount
  /// Generations on a page.
  public static let generationsPerPage = (Limits.pageByteCount - bodyByteOffset) / 4

  static func encodeCommon(
    into page: inout MutableRawSpan, identifier: UInt64, ordinal: UInt64,
    kind: CheckpointPageKind, count: Int
  ) {
    page.zero(0..<Limits.pageByteCount)
    page.store(identifier, Field.identifier.byteOffset)
    page.store(ordinal, Field.ordinal.byteOffset)
    page.store(kind.rawValue, Field.pageKind.byteOffset)
    page.store(UInt32(count), Field.count.byteOffset)
  }

  /// Writes a page of entries; the caller seals it.
  public static func encode(
    _ entries: ArraySlice<CheckpointEntry>, into page: inout MutableRawSpan, identifier: UInt64,
    ordinal: UInt64
  ) {
    encodeCommon(
      into: &page, identifier: identifier, ordinal: ordinal, kind: .entries, count: entries.count)
    var cursor = bodyByteOffset
    for entry in entries {
      page.store(entry.hash.fingerprint, cursor + EntryField.fingerprint.byteOffset)
      page.store(entry.location.rawValue, cursor + EntryField.location.byteOffset)
      page.store(entry.hash.selector, cursor + EntryField.selector.byteOffset)
      cursor += entryByteCount
    }
  }

  /// Writes a page of generations; the caller seals it.
  public static func encode(
    _ generations: ArraySlice<Generation>, into page: inout MutableRawSpan, identifier: UInt64,
    ordinal: UInt64
  ) {
    encodeCommon(
      into: &page, identifier: identifier, ordinal: ordinal, kind: .generations,
      count: generations.count)
    var cursor = bodyByteOffset
    for generation in generations {
      page.store(generation.rawValue, cursor)
      cursor += 4
    }
  }

  /// Writes the root page; the caller seals it.
  public static func encode(_ root: CheckpointRoot, into page: inout MutableRawSpan) {
    encodeCommon(
      into: &page, identifier: root.identifier, ordinal: root.pageCount, kind: .root, count: 0)
    page.store(root.cutSequence.rawValue, RootField.cutSequence.byteOffset)
    page.store(root.replaySegment.rawValue, RootField.replaySegment.byteOffset)
    page.store(root.replayGeneration.rawValue, RootField.replayGeneration.byteOffset)
    page.store(root.replayPageCount.rawValue, RootField.replayPageCount.byteOffset)
    page.store(root.pagesChecksum, RootField.pagesChecksum.byteOffset)
    page.store(root.entryCount, RootField.entryCount.byteOffset)
    page.store(root.pageCount, RootField.pageCount.byteOffset)
    page.store(root.segmentCount, RootField.segmentCount.byteOffset)
    page.store(root.selectorBitCount, RootField.selectorBitCount.byteOffset)
  }

  /// The kind of a verified page that must belong to the checkpoint and stand at `ordinal`.
  public static func kind(
    of page: RawSpan, identifier: UInt64, ordinal: UInt64?
  ) throws(FormatError) -> CheckpointPageKind {
    guard page.load(Field.identifier.byteOffset, as: UInt64.self) == identifier else {
      throw .stale
    }
    if let ordinal, page.load(Field.ordinal.byteOffset, as: UInt64.self) != ordinal {
      throw .malformed("checkpoint page ordinal")
    }
    try page.requireZero(Field.reserved)
    guard let kind = CheckpointPageKind(rawValue: page.load(Field.pageKind.byteOffset)) else {
      throw .malformed("checkpoint page kind")
    }
    return kind
  }

  /// How many entries or generations a verified page holds.
  public static func count(
    of page: RawSpan, kind: CheckpointPageKind
  ) throws(FormatError) -> Int {
    let count = Int(page.load(Field.count.byteOffset, as: UInt32.self))
    let bound = kind == .entries ? entriesPerPage : kind == .generations ? generationsPerPage : 0
    guard count <= bound else { throw .malformed("checkpoint page count") }
    return count
  }

  /// Entry number `index` of a verified page of entries.
  public static func entry(
    of page: RawSpan, at index: Int
  ) throws(FormatError) -> CheckpointEntry {
    let cursor = bodyByteOffset + index * entryByteCount
    let selector: UInt32 = page.load(cursor + EntryField.selector.byteOffset)
    let location = RecordLocation(rawValue: page.load(cursor + EntryField.location.byteOffset))
    guard selector >> UInt32(KeyHash.selectorBitCount) == 0, location != .none else {
      throw .malformed("checkpoint entry")
    }
    return CheckpointEntry(
      hash: KeyHash(
        fingerprint: page.load(cursor + EntryField.fingerprint.byteOffset), selector: selector),
      location: location)
  }

  /// Generation number `index` of a verified page of generations.
  public static func generation(
    of page: RawSpan, at index: Int
  ) throws(FormatError) -> Generation {
    try page.generation(
      generationField, at: bodyByteOffset + index * generationField.byteCount)
  }

  /// The root on a verified root page.
  public static func root(of page: RawSpan) throws(FormatError) -> CheckpointRoot {
    try page.requireZero(RootField.reserved)
    let selectorBitCount: UInt8 = page.load(RootField.selectorBitCount.byteOffset)
    guard Int(selectorBitCount) <= KeyHash.selectorBitCount else {
      throw .malformed("selectorBitCount")
    }
    return CheckpointRoot(
      identifier: try page.counter(Field.identifier),
      cutSequence: try page.sequence(RootField.cutSequence),
      replaySegment: SegmentIndex(page.load(RootField.replaySegment.byteOffset)),
      replayGeneration: try page.generation(RootField.replayGeneration),
      replayPageCount: try page.pageCount(RootField.replayPageCount),
      entryCount: page.load(RootField.entryCount.byteOffset),
      pageCount: page.load(RootField.pageCount.byteOffset),
      selectorBitCount: selectorBitCount,
      pagesChecksum: page.load(RootField.pagesChecksum.byteOffset),
      segmentCount: page.load(RootField.segmentCount.byteOffset))
  }
}
