import VarveFormat

/// What was written to a segment in one use of it, as far as that is known.
struct SegmentContents: Sendable {
  var generation: Generation
  /// Tombstones included.
  var recordCount: Int?
  var firstSequence: SequenceNumber?
  var lastSequence: SequenceNumber?
  /// Pages of header and frames.
  var usedPageCount: PageCount?
}

extension SegmentContents {
  /// What a summary in the making says; without a record there is no sequence number either.
  init(generation: Generation, summary: SummaryBuilder, usedPageCount: PageCount) {
    let hasRecords = summary.recordCount > 0
    self.init(
      generation: generation, recordCount: Int(summary.recordCount),
      firstSequence: hasRecords ? summary.firstSequence : nil,
      lastSequence: hasRecords ? summary.lastSequence : nil, usedPageCount: usedPageCount)
  }
}
