import VarveFormat
import VarveIO

/// A victim whose live records are being moved: which of its records have been looked at.
struct Relocation: Sendable {
  let victim: SegmentIndex
  let entry: SegmentEntry
  /// Where the records go.
  let stream: StreamKind
  /// The share of a segment that it gives back.
  let yield: Double
  /// nil where the segment has no summary, or none that is whole: then `pending` has everything.
  var facts: SummaryFacts?
  /// Whether what the segment holds has been looked up.
  var hasBegun = false
  /// The next page of the summary to be read.
  var nextSummaryPage = 0
  /// Records that have not been looked at yet, from `position` on.
  var pending: [SummaryEntry] = []
  var position = 0
  /// Pages of the victim that have been worked through.
  var pageCountDone = 0

  /// Pages of the summary that are read at once: some 5,000 records, a quarter of a megabyte.
  static let summaryWindowPageCount = 16

  /// Whether everything has been looked at.
  var isDone: Bool {
    position == pending.count
      && nextSummaryPage >= Int(facts?.summaryPageCount.rawValue ?? 0)
  }

  /// Takes the next records that `isLive`, as many as are read with some `byteLimit` bytes, and at
  /// least one if there is any in what is pending.
  mutating func takeLive(
    byteLimit: Int, firstPage: PageIndex, isLive: (SummaryEntry) -> Bool
  ) -> [SummaryEntry] {
    var taken: [SummaryEntry] = []
    var pageCount: UInt64 = 0
    var readEnd: UInt64 = 0
    while position < pending.count, pageCount * UInt64(Limits.pageByteCount) < byteLimit {
      let record = pending[position]
      position += 1
      let page = record.location.page.rawValue
      pageCountDone = Int(page - firstPage.rawValue)
      guard isLive(record) else { continue }
      taken.append(record)
      let start = page <= readEnd + PageRun.gapPageCount ? min(readEnd, page) : page
      let end = page + UInt64(record.location.pageCountToRead.rawValue)
      if end > readEnd { pageCount += end - max(start, min(readEnd, end)) }
      readEnd = max(readEnd, end)
    }
    return taken
  }
}

/// A record that has a copy elsewhere, which the index does not name yet.
struct Move: Sendable {
  var hash: KeyHash
  var old: RecordLocation
  var new: RecordLocation
}

/// A run of pages that is read in one go.
struct PageRun: Hashable {
  var page: PageIndex
  var pageCount: Int

  /// Pages between two records that are read along rather than apart.
  static let gapPageCount: UInt64 = 8
  /// Pages of a run of several records.
  static let maximumPageCount = 256

  /// The runs that hold the extents of records, which come in the order of their pages.
  static func covering(_ records: [SummaryEntry], before end: PageIndex) -> [PageRun] {
    var runs: [PageRun] = []
    for record in records {
      let page = record.location.page.rawValue
      let extentEnd = min(
        page + UInt64(record.location.pageCountToRead.rawValue), end.rawValue)
      if let last = runs.last {
        let lastEnd = last.page.rawValue + UInt64(last.pageCount)
        if page <= lastEnd + gapPageCount,
          extentEnd <= last.page.rawValue + UInt64(maximumPageCount)
        {
          runs[runs.count - 1].pageCount = Int(max(extentEnd, lastEnd) - last.page.rawValue)
          continue
        }
      }
      runs.append(PageRun(page: record.location.page, pageCount: Int(extentEnd - page)))
    }
    return runs
  }
}
