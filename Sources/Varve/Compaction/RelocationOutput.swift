import VarveFormat
import VarveIO

/// Where the relocated records of one stream go: the segment that is being filled and the frames
/// for it that are still in memory. Everything here is arithmetic and copying; who owns it writes,
/// flushes and seals.
struct RelocationOutput {
  let stream: StreamKind
  /// The segment that is being filled.
  private(set) var current: OpenSegment?
  /// The frame that takes records.
  private var frame: RelocationFrame?
  /// Frames that wait to be written, in order.
  private(set) var closed: [RelocationFrame] = []
  /// Segments that are full and wait to be sealed, once their frames are durable, and how many of
  /// their pages a flush has covered.
  private var finished: [(segment: FinishedSegment, flushedPageCount: Int)] = []
  /// Pages of the current segment that a flush has covered.
  private(set) var flushedPageCount = 0
  /// Bytes of pages that the records in it need.
  private var packedByteCount = 0

  init(stream: StreamKind) { self.stream = stream }

  /// Places a record, or returns nil where a fresh segment is needed first.
  mutating func append(
    _ header: RecordHeader, key: RawSpan, storedValue: RawSpan, hash: KeyHash, _ seal: SealContext,
    _ buffers: BufferPool
  ) -> RecordLocation? {
    if let frame, let location = place(header, key, storedValue, hash, in: frame, seal.geometry) {
      return location
    }
    closeFrame(seal)
    guard let current else { return nil }
    var layout = FrameLayout()
    _ = layout.place(header.recordByteCount)
    guard
      current.hasRoom(
        endPage: current.nextPage + layout.pageCount, additionalRecordCount: 1, in: seal.geometry)
    else {
      finishSegment(isFull: true)
      return nil
    }
    // The pool's buffers have the size of a frame.
    let pageCount = max(layout.pageCount, buffers.byteCount / Limits.pageByteCount - 1)
    let buffer = buffers.take(byteCount: (pageCount + 1) * Limits.pageByteCount)
    let frame = RelocationFrame(buffer: buffer, stream: stream, endOf: current)
    self.frame = frame
    return place(header, key, storedValue, hash, in: frame, seal.geometry)
  }

  private mutating func place(
    _ header: RecordHeader, _ key: RawSpan, _ storedValue: RawSpan, _ hash: KeyHash,
    in frame: RelocationFrame, _ geometry: Geometry
  ) -> RecordLocation? {
    var layout = frame.layout
    let placement = layout.place(header.recordByteCount)
    guard layout.pageCount <= frame.pageCapacity, let current,
      current.hasRoom(
        endPage: frame.pageInSegment + layout.pageCount, additionalRecordCount: 1, in: geometry)
    else { return nil }
    let location = frame.location(of: placement, header)
    frame.append(header, key: key, storedValue: storedValue)
    self.current?.summary.append(
      SummaryEntry(
        hash: hash, sequence: header.sequence, location: location,
        expiryMilliseconds: header.expiryMilliseconds))
    let payload = Int(geometry.framePageLimit(summaryPages: PageCount(1)).rawValue) - 1
    packedByteCount += location.packedByteCount(payloadPageCount: max(1, payload))
    return location
  }

  /// Goes on in a fresh segment.
  mutating func enter(_ segment: PreparedSegment, _ seal: SealContext) {
    precondition(current == nil, "the segment before is finished first")
    current = OpenSegment(
      segment: segment.segment, generation: segment.generation,
      firstPage: seal.geometry.firstPage(of: segment.segment), isReserve: false,
      header: SegmentHeader(
        stream: stream, predecessor: .none, predecessorGeneration: Generation(0),
        predecessorEndPageCount: PageCount(0), predecessorFrameChecksum: 0,
        firstSequence: .zero, durableWatermark: seal.durableSequence,
        clockMilliseconds: seal.clockMilliseconds, openEpoch: seal.openEpoch))
    flushedPageCount = 0
  }

  /// Completes the frame in memory.
  mutating func closeFrame(_ seal: SealContext) {
    guard let frame, var current else { return }
    current.chainChecksum = frame.seal(
      Frame.Seal(
        uuid: seal.uuid, checksum: Checksum(uuid: seal.uuid),
        previousChecksum: current.chainChecksum, durableWatermark: seal.durableSequence,
        clockMilliseconds: seal.clockMilliseconds, openEpoch: seal.openEpoch,
        segmentHeader: frame.ordinal == 0 ? current.header : nil))
    current.lastFramePage = frame.pageInSegment
    current.nextPage = frame.pageInSegment + frame.pageCount
    current.ordinal += 1
    self.current = current
    closed.append(frame)
    self.frame = nil
  }

  /// Ends the current segment where its frames end.
  mutating func finishSegment(isFull: Bool) {
    guard let current else { return }
    let segment = FinishedSegment(
      segment: current.segment, generation: current.generation,
      endPageCount: PageCount(UInt32(current.nextPage)),
      lastFrameChecksum: current.chainChecksum, summary: current.summary,
      lastFrameIdentifier: 0, stream: stream,
      packedByteCount: isFull ? packedByteCount : 0)
    finished.append((segment, flushedPageCount))
    self.current = nil
    flushedPageCount = 0
    packedByteCount = 0
  }

  /// Everything in the segments that are not sealed.
  func forEachRecord(_ body: (SummaryEntry) -> Void) {
    for item in finished { for record in item.segment.summary.entries { body(record) } }
    guard let summary = current?.summary else { return }
    for record in summary.entries { body(record) }
  }

  mutating func takeClosed() -> [RelocationFrame] {
    defer { closed = [] }
    return closed
  }

  /// Where the closed frames end of each segment that has some behind what was flushed.
  var unflushedEnds: [OutputEnd] {
    var ends = finished.filter { $0.flushedPageCount < $0.segment.endPageCount.rawValue }.map {
      OutputEnd(
        segment: $0.segment.segment, generation: $0.segment.generation,
        pageCount: Int($0.segment.endPageCount.rawValue))
    }
    if let current, current.nextPage > max(1, flushedPageCount) {
      ends.append(
        OutputEnd(
          segment: current.segment, generation: current.generation, pageCount: current.nextPage))
    }
    return ends
  }

  /// How far the segments that are not sealed have been flushed, where something of them has.
  var flushedEnds: [(segment: SegmentIndex, pageCount: Int)] {
    var ends = finished.map { (segment: $0.segment.segment, pageCount: $0.flushedPageCount) }
    if let current { ends.append((current.segment, flushedPageCount)) }
    return ends.filter { $0.pageCount > 0 }
  }

  /// Notes that a flush has covered the frames of a segment up to a page. It may have been sealed
  /// since, by an earlier flush, and be in use again: then its generation is another.
  mutating func noteFlushed(_ end: OutputEnd) {
    if let current, current.segment == end.segment, current.generation == end.generation {
      flushedPageCount = max(flushedPageCount, end.pageCount)
    }
    for position in finished.indices
    where finished[position].segment.segment == end.segment
      && finished[position].segment.generation == end.generation
    {
      finished[position].flushedPageCount = max(
        finished[position].flushedPageCount, end.pageCount)
    }
  }

  /// The segments that are full and flushed to their ends.
  mutating func takeFinished() -> [FinishedSegment] {
    let isFlushed: ((segment: FinishedSegment, flushedPageCount: Int)) -> Bool = {
      $0.flushedPageCount >= Int($0.segment.endPageCount.rawValue)
    }
    defer { finished.removeAll(where: isFlushed) }
    return finished.filter(isFlushed).map(\.segment)
  }

  /// Gives up the segments that are not sealed, after a failed write, and says how many pages of
  /// each count: those that a flush has covered, or the header alone.
  mutating func abandonSegments() -> [(segment: SegmentIndex, endPageCount: PageCount)] {
    var abandoned = finished.map { ($0.segment.segment, $0.flushedPageCount) }
    if let current { abandoned.append((current.segment, flushedPageCount)) }
    self = RelocationOutput(stream: stream)
    return abandoned.map { ($0.0, PageCount(UInt32(max(1, $0.1)))) }
  }
}

/// How far frames of relocated records go in a segment.
struct OutputEnd {
  var segment: SegmentIndex
  var generation: Generation
  var pageCount: Int
}

/// What frames are sealed with.
struct SealContext {
  let uuid: StoreUUID
  let geometry: Geometry
  var durableSequence: SequenceNumber
  var clockMilliseconds: UInt64
  var openEpoch: UInt32
}
