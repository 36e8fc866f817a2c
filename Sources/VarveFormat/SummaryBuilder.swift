/// Gathers a segment's summary while its records are appended, already in the form that goes to
/// the device, so that sealing needs no second pass over the records.
public struct SummaryBuilder: Sendable {
  private var pages: [[UInt8]] = []
  private var cursor = Limits.pageByteCount
  private var entryCount = 0
  private var page: UInt64 = 0
  private var sequence: UInt64 = 0
  /// Records named so far.
  public private(set) var recordCount: UInt32 = 0
  /// The lowest sequence number named; 0 before the first.
  public private(set) var firstSequence = SequenceNumber.zero
  /// The highest sequence number named; 0 before the first.
  public private(set) var lastSequence = SequenceNumber.zero

  /// Begins an empty summary.
  public init() {}

  /// Bytes of memory that the summary takes.
  public var byteCount: Int { pages.count * Limits.pageByteCount }

  /// Pages of one copy of the summary, at least one.
  public var pageCount: PageCount { PageCount(UInt32(max(1, pages.count))) }

  /// An upper bound of `pageCount` once `additional` more records are named.
  public func pageCount(withAdditional additional: Int) -> PageCount {
    let free = pages.isEmpty ? 0 : Limits.pageByteCount - cursor
    let perPage = SummaryPage.entryCapacity / SummaryPage.maximumEntryByteCount
    let fitting = free / SummaryPage.maximumEntryByteCount
    let rest = max(0, additional - fitting)
    return PageCount(UInt32(max(1, pages.count + (rest + perPage - 1) / perPage)))
  }

  /// Names the next record of the segment.
  public mutating func append(_ entry: SummaryEntry) {
    if cursor + SummaryPage.maximumEntryByteCount > Limits.pageByteCount { beginPage(entry) }
    var control: UInt8 = 0
    if entry.location.isTombstone { control |= SummaryPage.tombstoneBit }
    if entry.expiryMilliseconds > 0 { control |= SummaryPage.expiryBit }
    let isNext = entry.sequence.rawValue == sequence &+ 1
    if isNext { control |= SummaryPage.nextSequenceBit }
    let pageDelta = entry.location.page.rawValue &- page
    let isSamePage = pageDelta == 0
    if isSamePage { control |= SummaryPage.samePageBit }
    if entry.location.lengthHint == 0 { control |= SummaryPage.onePageBit }
    cursor = unsafe pages[pages.count - 1].withUnsafeMutableBytes { bytes in
      // SAFETY: the longest entry fits behind the cursor, checked at the top.
      var writer = unsafe SummaryWriter(bytes: bytes, cursor: cursor)
      writer.put(entry.hash.fingerprint)
      writer.put(UInt16(truncatingIfNeeded: entry.hash.selector))
      writer.put(UInt8(truncatingIfNeeded: entry.hash.selector >> 16))
      writer.put(control)
      writer.put(entry.location.slot)
      writer.put(
        entry.location.lengthHint == 0 ? entry.location.sizeClass : entry.location.lengthHint)
      if !isSamePage { writer.putVariable(pageDelta) }
      if !isNext {
        let delta = Int64(bitPattern: entry.sequence.rawValue &- sequence)
        writer.putVariable(UInt64(bitPattern: delta << 1 ^ delta >> 63))
      }
      if entry.expiryMilliseconds > 0 { writer.put(entry.expiryMilliseconds) }
      return writer.cursor
    }
    page = entry.location.page.rawValue
    sequence = entry.sequence.rawValue
    entryCount += 1
    recordCount += 1
    if firstSequence == .zero || entry.sequence < firstSequence { firstSequence = entry.sequence }
    if lastSequence < entry.sequence { lastSequence = entry.sequence }
  }

  /// What has been named so far.
  public var entries: [SummaryEntry] {
    var copy = self
    copy.closePage()
    var entries: [SummaryEntry] = []
    for page in copy.pages {
      // SAFETY: the bytes of an array of bytes have no padding.
      let bytes = unsafe page.span.bytes
      guard (try? SummaryPage.entries(of: bytes, into: &entries)) != nil else {
        preconditionFailure("a summary in memory does not decode")
      }
    }
    return entries
  }

  /// Copies page `ordinal` of the summary, complete but for its facts and its seal, into `output`.
  public mutating func copyPage(_ ordinal: Int, into output: inout MutableRawSpan) {
    closePage()
    output.zero(0..<Limits.pageByteCount)
    guard ordinal < pages.count else { return }
    let page = pages[ordinal]
    // SAFETY: bytes have no padding that their span could expose.
    unsafe output.copy(page.span.bytes, to: 0)
  }

  private mutating func beginPage(_ entry: SummaryEntry) {
    closePage()
    pages.append([UInt8](repeating: 0, count: Limits.pageByteCount))
    cursor = SummaryPage.entriesByteOffset
    entryCount = 0
    page = entry.location.page.rawValue
    sequence = entry.sequence.rawValue &- 1
    storeField(page, SummaryPage.Field.basePage)
    storeField(sequence, SummaryPage.Field.baseSequence)
  }

  private mutating func closePage() {
    guard !pages.isEmpty else { return }
    storeField(UInt16(entryCount), SummaryPage.Field.entryCount)
    storeField(
      UInt16(cursor - SummaryPage.entriesByteOffset), SummaryPage.Field.entriesByteCount)
  }

  private mutating func storeField<T: FixedWidthInteger>(_ value: T, _ field: FieldLayout) {
    unsafe pages[pages.count - 1].withUnsafeMutableBytes { bytes in
      // SAFETY: the fields of the header lie within the page.
      unsafe bytes.storeBytes(of: value.littleEndian, toByteOffset: field.byteOffset, as: T.self)
    }
  }
}

/// Writes little-endian numbers one behind the other.
@safe private struct SummaryWriter {
  let bytes: UnsafeMutableRawBufferPointer
  var cursor: Int

  mutating func put<T: FixedWidthInteger>(_ value: T) {
    unsafe bytes.storeBytes(of: value.littleEndian, toByteOffset: cursor, as: T.self)
    cursor += MemoryLayout<T>.size
  }

  mutating func putVariable(_ value: UInt64) {
    var rest = value
    while rest >= 128 {
      put(UInt8(truncatingIfNeeded: rest) | 128)
      rest >>= 7
    }
    put(UInt8(rest))
  }
}
