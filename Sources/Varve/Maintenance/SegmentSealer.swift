import VarveFormat
import VarveIO

/// Writes the summary of a finished segment, in two distant copies.
struct SegmentSealer {
  let device: any BlockDevice
  let geometry: Geometry
  let uuid: StoreUUID
  let checksum: Checksum

  /// Where page `ordinal` of a copy lies: copy 1 ends the segment, copy 0 lies before it.
  static func page(
    _ ordinal: Int, copy: Int, summaryPageCount: PageCount, of segment: SegmentIndex,
    in geometry: Geometry
  ) -> PageIndex {
    let first = geometry.firstPage(of: segment).rawValue
    let start =
      copy == 0
      ? UInt64(geometry.framePageLimit(summaryPages: summaryPageCount).rawValue)
      : UInt64(geometry.segmentPageCount.rawValue - summaryPageCount.rawValue)
    return PageIndex(first + start + UInt64(ordinal))
  }

  /// Writes both copies and flushes.
  ///
  /// DURABILITY: called only when a flush has covered every frame of the segment and all frames of
  /// the stream before it, so a summary never names what a crash could still lose.
  /// - Returns: bytes written.
  func writeSummary(of finished: FinishedSegment) async throws(IOError) -> Int {
    var builder = finished.summary
    let pageCount = Int(builder.pageCount.rawValue)
    let facts = SummaryFacts(
      recordCount: builder.recordCount, endPageCount: finished.endPageCount,
      summaryPageCount: PageCount(UInt32(pageCount)),
      lastFrameChecksum: finished.lastFrameChecksum, firstSequence: builder.firstSequence,
      lastSequence: builder.lastSequence, stream: .user)
    let buffer = PageBuffer(pageCount: pageCount)
    for copy in 0..<2 {
      for ordinal in 0..<pageCount {
        let page = SegmentSealer.page(
          ordinal, copy: copy, summaryPageCount: facts.summaryPageCount, of: finished.segment,
          in: geometry)
        buffer.withMutablePage(ordinal) { bytes in
          builder.copyPage(ordinal, into: &bytes)
          SummaryPage.seal(
            &bytes, facts: facts, ordinal: UInt32(ordinal), at: page,
            generation: finished.generation, segment: finished.segment, uuid: uuid,
            checksum: checksum)
        }
      }
      let first = SegmentSealer.page(
        0, copy: copy, summaryPageCount: facts.summaryPageCount, of: finished.segment,
        in: geometry)
      if let error = await device.write(pageCount, pagesAt: first, from: buffer) { throw error }
    }
    if let error = await device.flush() { throw error }
    return 2 * pageCount * Limits.pageByteCount
  }
}
