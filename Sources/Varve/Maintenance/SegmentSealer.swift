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

  /// Writes both copies; the caller flushes.
  ///
  /// DURABILITY: called only when a flush has covered every frame of the segment and all frames of
  /// the stream before it, so a summary never names what a crash could still lose.
  /// - Returns: bytes written.
  func writeSummary(of finished: FinishedSegment) async throws(IOError) -> Int {
    var builder = finished.summary
    let first = copy(0, of: finished, &builder)
    let second = copy(1, of: finished, &builder)
    let pageCount = Int(builder.pageCount.rawValue)
    async let firstFailure = device.write(pageCount, pagesAt: first.page, from: first.buffer)
    async let secondFailure = device.write(pageCount, pagesAt: second.page, from: second.buffer)
    let failures = (await firstFailure, await secondFailure)
    if let error = failures.0 ?? failures.1 { throw error }
    return 2 * pageCount * Limits.pageByteCount
  }

  /// The sealed pages of one copy, and where they go.
  private func copy(
    _ copy: Int, of finished: FinishedSegment, _ builder: inout SummaryBuilder
  ) -> (buffer: PageBuffer, page: PageIndex) {
    let pageCount = builder.pageCount
    let facts = SummaryFacts(
      recordCount: builder.recordCount, endPageCount: finished.endPageCount,
      summaryPageCount: pageCount, lastFrameChecksum: finished.lastFrameChecksum,
      firstSequence: builder.firstSequence, lastSequence: builder.lastSequence,
      stream: finished.stream)
    let first = SegmentSealer.page(
      0, copy: copy, summaryPageCount: pageCount, of: finished.segment, in: geometry)
    let buffer = PageBuffer(pageCount: Int(pageCount.rawValue))
    for ordinal in 0..<Int(pageCount.rawValue) {
      buffer.withMutablePage(ordinal) { bytes in
        builder.copyPage(ordinal, into: &bytes)
        SummaryPage.seal(
          &bytes, facts: facts, ordinal: UInt32(ordinal),
          at: PageIndex(first.rawValue + UInt64(ordinal)), generation: finished.generation,
          segment: finished.segment, uuid: uuid, checksum: checksum)
      }
    }
    return (buffer, first)
  }
}
