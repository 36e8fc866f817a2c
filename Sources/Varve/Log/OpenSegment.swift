import VarveFormat

/// A segment that was made ready for the log: the table says so durably.
struct PreparedSegment {
  var segment: SegmentIndex
  var generation: Generation
  /// Whether it comes out of the reserve: only deletes may go there.
  var isReserve: Bool
}

/// The segment that the log is filling.
struct OpenSegment {
  let segment: SegmentIndex
  let generation: Generation
  let firstPage: PageIndex
  var isReserve: Bool
  /// Where the next frame begins, in pages from the segment's first.
  var nextPage = 1
  /// The number of the next frame.
  var ordinal: UInt32 = 0
  /// The checksum of the last closed frame, or of the header.
  var chainChecksum: UInt32 = 0
  /// Where the last closed frame begins, in pages from the segment's first; 0 without one.
  var lastFramePage = 0
  /// The page that the first frame to be written carries before it: the header of the segment.
  var header: SegmentHeader?
  var summary = SummaryBuilder()

  /// Whether an empty segment has room for a frame of so many pages and records.
  static func canHold(pageCount: Int, recordCount: Int, in geometry: Geometry) -> Bool {
    let summaryPages = SummaryBuilder().pageCount(withAdditional: recordCount)
    return pageCount < Int(geometry.framePageLimit(summaryPages: summaryPages).rawValue)
  }

  /// Whether frames may end at `endPage` and `additionalRecordCount` records be named, so that
  /// both copies of the summary still fit behind them.
  func hasRoom(
    endPage: Int, additionalRecordCount: Int, in geometry: Geometry
  ) -> Bool {
    let summaryPages = summary.pageCount(withAdditional: additionalRecordCount)
    return endPage <= Int(geometry.framePageLimit(summaryPages: summaryPages).rawValue)
  }
}

/// A segment that takes no more frames and waits to be sealed.
struct FinishedSegment {
  var segment: SegmentIndex
  var generation: Generation
  var endPageCount: PageCount
  var lastFrameChecksum: UInt32
  var summary: SummaryBuilder
  /// The last frame in it: the footer waits until that is durable. 0 where it is.
  var lastFrameIdentifier: UInt64
  var stream = StreamKind.user
  /// Bytes of pages that the records needed which compaction has filled it with, to its end; 0
  /// where it was not filled, or by others.
  var packedByteCount = 0
}

extension FinishedSegment {
  /// What recovery found of a segment that was open.
  init(_ scan: SegmentScan) {
    self.init(
      segment: scan.segment, generation: scan.generation,
      endPageCount: PageCount(UInt32(scan.endPage)), lastFrameChecksum: scan.lastFrameChecksum,
      summary: scan.summary, lastFrameIdentifier: 0, stream: scan.header?.stream ?? .user)
  }
}
