// One group commit: records gathered in page-aligned memory, and the request that writes them. The
// frame is its own `IORequest`, so that submitting it allocates nothing. `LogFrame` is one of the
// user's log, `RelocationFrame` one of compaction's.

import VarveFormat
import VarveIO

/// A frame in memory.
///
/// SAFETY: it changes only under its owner's lock or in its owner's task; once sealed its bytes no
/// longer change until they are written. Record bytes never change once appended, so readers may
/// use them without the lock.
class Frame: IORequest, @unchecked Sendable {
  /// A run of pages under one checksum.
  struct Extent {
    var page: Int
    var pageCount: Int
    var recordCount: UInt16
  }

  /// One page for a segment header, then the frame's pages; gone once the frame is written.
  private var heldBuffer: PageBuffer?
  /// The stream of its segment.
  final let stream: StreamKind
  final private(set) var layout = FrameLayout()
  final private(set) var extents: [Extent] = []
  final private(set) var recordCount: UInt32 = 0
  final private(set) var firstSequence = SequenceNumber.zero
  final private(set) var lastSequence = SequenceNumber.zero
  /// Bytes of records, so that padding can be counted.
  final private(set) var recordByteCount = 0

  // Where it goes; a rewrite after a failed write changes it.
  final var segment: SegmentIndex
  final var generation: Generation
  /// The frame's first page on the device.
  final var firstPage: PageIndex
  /// The same, counted from the segment's first page.
  final var pageInSegment: Int
  /// The number of the frame in its segment; the first one carries the segment header.
  final var ordinal: UInt32

  private var isSealed = false

  /// A frame that begins where the frames of a segment end.
  init(buffer: PageBuffer, stream: StreamKind, endOf open: OpenSegment) {
    heldBuffer = buffer
    pageCapacity = buffer.byteCount / Limits.pageByteCount - 1
    self.stream = stream
    segment = open.segment
    generation = open.generation
    firstPage = PageIndex(open.firstPage.rawValue + UInt64(open.nextPage))
    pageInSegment = open.nextPage
    ordinal = open.ordinal
    unsafe super.init(operation: .write)
  }

  /// The memory of the frame, until it is given up.
  private var buffer: PageBuffer {
    guard let heldBuffer else { preconditionFailure("the frame has given up its memory") }
    return heldBuffer
  }

  /// Gives the memory up for another frame, or nil where readers still hold it.
  final func takeBuffer() -> PageBuffer? {
    defer { heldBuffer = nil }
    return isKnownUniquelyReferenced(&heldBuffer) ? heldBuffer : nil
  }

  /// Pages that the buffer has room for.
  final let pageCapacity: Int

  /// Pages in use.
  final var pageCount: Int { layout.pageCount }

  /// Whether a page of the device lies in this frame.
  final func contains(_ page: PageIndex) -> Bool {
    page >= firstPage && page.rawValue < firstPage.rawValue + UInt64(pageCount)
  }

  /// Where the record placed so will lie.
  final func location(
    of placement: FrameLayout.Placement, _ header: RecordHeader
  ) -> RecordLocation {
    RecordLocation(
      page: PageIndex(firstPage.rawValue + UInt64(placement.extentPage)),
      slot: UInt8(placement.byteOffset / RecordHeader.alignment),
      pageCount: PageCount(UInt32(placement.extentPageCount)),
      recordByteCount: header.recordByteCount, isTombstone: header.kind == .tombstone,
      hasExpiry: header.expiryMilliseconds > 0)
  }

  /// Appends a record at the next place, which `layout` foretells.
  final func append(_ header: RecordHeader, key: RawSpan, storedValue: RawSpan) {
    precondition(!isSealed, "a sealed frame takes no records")
    let byteCount = header.recordByteCount
    if pageCount > 0 {
      var trial = layout
      if trial.place(byteCount).opensExtent { zeroPadding() }
    }
    let placement = layout.place(byteCount)
    precondition(pageCount <= pageCapacity, "a record does not fit the frame")
    let start = (placement.extentPage + 1) * Limits.pageByteCount
    let end = start + placement.extentPageCount * Limits.pageByteCount
    buffer.withMutableBytes(start..<end) { bytes in
      header.encode(key: key, storedValue: storedValue, into: &bytes, at: placement.byteOffset)
      let contentByteCount = header.headerByteCount + key.byteCount + storedValue.byteCount
      bytes.zero(placement.byteOffset + contentByteCount..<placement.byteOffset + byteCount)
    }
    if placement.opensExtent {
      extents.append(
        Extent(page: placement.extentPage, pageCount: placement.extentPageCount, recordCount: 0))
    }
    extents[extents.count - 1].recordCount += 1
    recordCount += 1
    recordByteCount += byteCount
    // Those of a relocated frame come in any order.
    if firstSequence == .zero || header.sequence < firstSequence {
      firstSequence = header.sequence
    }
    if header.sequence > lastSequence { lastSequence = header.sequence }
  }

  /// Clears what lies between the last record and the end of its page: buffers are reused.
  private func zeroPadding() {
    let start = layout.endByteOffset + Limits.pageByteCount
    let end = (pageCount + 1) * Limits.pageByteCount
    buffer.withMutableBytes(start..<end) { $0.zero(0..<$0.byteCount) }
  }

  /// What a frame is sealed with.
  struct Seal {
    var uuid: StoreUUID
    var checksum: Checksum
    var previousChecksum: UInt32
    var durableWatermark: SequenceNumber
    var clockMilliseconds: UInt64
    var openEpoch: UInt32
    /// The header of the segment, where this is its first frame.
    var segmentHeader: SegmentHeader?
  }

  /// The checksum of the frame before this one, once sealed.
  final private(set) var previousChecksum: UInt32 = 0

  /// Completes the frame for its place on the device and returns its checksum, which the next
  /// frame carries.
  final func seal(_ seal: Seal) -> UInt32 {
    if pageCount == 0 {
      layout.takeHeaderPage()
      extents = [Extent(page: 0, pageCount: 1, recordCount: 0)]
    }
    isSealed = true
    zeroPadding()
    previousChecksum = seal.previousChecksum
    if let header = seal.segmentHeader {
      previousChecksum = sealSegmentHeader(header, seal)
    }
    var extentsChecksum: UInt32 = 0
    for extent in extents.dropFirst() {
      let value = sealExtent(extent, kind: .frameContinuation, seal)
      extentsChecksum = Checksum.word(UInt64(value), seed: extentsChecksum)
    }
    let header = FrameHeader(
      firstSequence: firstSequence, lastSequence: lastSequence,
      durableWatermark: seal.durableWatermark, ordinal: ordinal,
      pageCount: PageCount(UInt32(pageCount)), recordCount: recordCount,
      previousChecksum: previousChecksum, extentsChecksum: extentsChecksum, stream: stream,
      clockMilliseconds: seal.clockMilliseconds, openEpoch: seal.openEpoch)
    let first = extents[0]
    buffer.withMutableBytes(bufferRange(of: first)) { header.encode(into: &$0) }
    prepareRequest()
    return sealExtent(first, kind: .frameStart, seal)
  }

  private func sealSegmentHeader(_ header: SegmentHeader, _ seal: Seal) -> UInt32 {
    buffer.withMutablePage(0) { page in
      page.zero(0..<page.byteCount)
      header.encode(into: &page)
      return PageHeader(
        kind: .segmentHeader, generation: generation,
        page: PageIndex(firstPage.rawValue - 1), segment: segment
      ).seal(&page, uuid: seal.uuid, checksum: seal.checksum)
    }
  }

  private func sealExtent(_ extent: Extent, kind: PageKind, _ seal: Seal) -> UInt32 {
    buffer.withMutableBytes(bufferRange(of: extent)) { bytes in
      PageHeader(
        kind: kind, recordCount: extent.recordCount, generation: generation,
        extentPageCount: PageCount(UInt32(extent.pageCount)),
        page: PageIndex(firstPage.rawValue + UInt64(extent.page)), segment: segment
      ).seal(&bytes, uuid: seal.uuid, checksum: seal.checksum)
    }
  }

  private func bufferRange(of extent: Extent) -> Range<Int> {
    let start = (extent.page + 1) * Limits.pageByteCount
    return start..<start + extent.pageCount * Limits.pageByteCount
  }

  /// The first frame of a segment is written together with the header page before it.
  private func prepareRequest() {
    let lead = ordinal == 0 ? 1 : 0
    // A watermark frame is a witness only once it is durable, and nobody flushes for it.
    operation = recordCount == 0 ? .writeDurably : .write
    unsafe memory = buffer.base + (1 - lead) * Limits.pageByteCount
    byteCount = (pageCount + lead) * Limits.pageByteCount
    byteOffset = (firstPage.rawValue - UInt64(lead)) * UInt64(Limits.pageByteCount)
  }

  /// The records of the frame, read back from its memory.
  final func records(hashKey: HashKey) -> [SummaryEntry] {
    var entries: [SummaryEntry] = []
    for (position, extent) in extents.enumerated() {
      let kind: PageKind = position == 0 ? .frameStart : .frameContinuation
      buffer.withBytes(bufferRange(of: extent)) { bytes in
        var cursor = RecordCursor(
          payloadByteOffset: FrameHeader.payloadByteOffset(in: kind),
          recordCount: Int(extent.recordCount))
        while let found = try? cursor.next(in: bytes) {
          entries.append(
            found.summaryEntry(
              in: bytes, page: PageIndex(firstPage.rawValue + UInt64(extent.page)),
              pageCount: PageCount(UInt32(extent.pageCount)), hashKey: hashKey))
        }
      }
    }
    return entries
  }

  /// The memory of a record of this frame, and where its extent begins in it.
  final func extent(at location: RecordLocation) -> BufferedExtent? {
    guard let heldBuffer else { return nil }
    let page = Int(location.page.rawValue - firstPage.rawValue)
    return BufferedExtent(
      buffer: heldBuffer, startByteOffset: (page + 1) * Limits.pageByteCount)
  }
}

/// A record's extent in the write buffer. Its record bytes no longer change, so they may be used
/// without a lock for as long as this value is held.
struct BufferedExtent {
  let buffer: PageBuffer
  let startByteOffset: Int

  /// Lends the extent and what follows it in the buffer.
  func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try buffer.withBytes(startByteOffset..<buffer.byteCount, body)
  }
}
