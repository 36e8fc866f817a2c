import VarveFormat
import VarveIO

/// What a segment's summary says.
struct SegmentSummary {
  var facts: SummaryFacts
  var records: [SummaryEntry]
}

/// Reads what a sealed segment holds: from its summary, of which each page may come from either
/// copy, or from its frames.
struct SegmentReader {
  let device: any BlockDevice
  let geometry: Geometry
  let uuid: StoreUUID
  let hashKey: HashKey
  let checksum: Checksum

  init(device: any BlockDevice, geometry: Geometry, uuid: StoreUUID, hashKey: HashKey) {
    self.device = device
    self.geometry = geometry
    self.uuid = uuid
    self.hashKey = hashKey
    checksum = Checksum(uuid: uuid)
  }

  /// The records of a sealed segment; nil where neither summary nor frames are whole.
  func records(
    of segment: SegmentIndex, entry: SegmentEntry
  ) async -> [SummaryEntry]? {
    if entry.hasSummary, let summary = await summary(of: segment, entry: entry) {
      return summary.records
    }
    let scanner = FrameScanner(
      device: device, geometry: geometry, uuid: uuid, checksum: checksum, hashKey: hashKey,
      cut: nil)
    let endPage = Int(entry.endPageCount.rawValue)
    let scan = await scanner.scan(segment, generation: entry.generation, endPage: endPage)
    return scan.endPage == endPage ? scan.records : nil
  }

  /// The summary of a sealed segment; nil where a page of it is lost in both copies.
  func summary(of segment: SegmentIndex, entry: SegmentEntry) async -> SegmentSummary? {
    guard let facts = await facts(of: segment, entry: entry) else { return nil }
    let pageCount = Int(facts.summaryPageCount.rawValue)
    var records: [SummaryEntry] = []
    records.reserveCapacity(min(Int(facts.recordCount), pageCount * Limits.pageByteCount / 12))
    guard
      await readSummary(facts, pages: 0..<pageCount, of: segment, entry: entry, into: &records),
      records.count == Int(facts.recordCount)
    else { return nil }
    return SegmentSummary(facts: facts, records: records)
  }

  /// Reads some pages of a summary and appends the records that they name; false where one of them
  /// is lost in both copies.
  func readSummary(
    _ facts: SummaryFacts, pages: Range<Int>, of segment: SegmentIndex, entry: SegmentEntry,
    into records: inout [SummaryEntry]
  ) async -> Bool {
    let buffer = PageBuffer(pageCount: pages.count)
    let second = page(pages.lowerBound, copy: 1, facts, of: segment)
    if await device.read(pages.count, pagesAt: second, into: buffer) != nil {
      // Page by page below, from the other copy.
      buffer.withMutableBytes(0..<buffer.byteCount) { $0.zero(0..<$0.byteCount) }
    }
    for (position, ordinal) in pages.enumerated() {
      if take(
        buffer, position, ordinal, at: page(ordinal, copy: 1, facts, of: segment), of: segment,
        facts, entry, &records)
      {
        continue
      }
      let other = page(ordinal, copy: 0, facts, of: segment)
      guard await device.read(1, pagesAt: other, into: buffer, bufferPage: position) == nil,
        take(buffer, position, ordinal, at: other, of: segment, facts, entry, &records)
      else { return false }
    }
    return true
  }

  private func page(
    _ ordinal: Int, copy: Int, _ facts: SummaryFacts, of segment: SegmentIndex
  ) -> PageIndex {
    SegmentSealer.page(
      ordinal, copy: copy, summaryPageCount: facts.summaryPageCount, of: segment, in: geometry)
  }

  private func take(
    _ buffer: PageBuffer, _ position: Int, _ ordinal: Int, at page: PageIndex,
    of segment: SegmentIndex, _ facts: SummaryFacts, _ entry: SegmentEntry,
    _ records: inout [SummaryEntry]
  ) -> Bool {
    let before = records.count
    let firstPage = geometry.firstPage(of: segment)
    let isWhole = buffer.withPage(position) { bytes -> Bool in
      guard let header = verified(bytes, at: page, entry), header.kind == .summary,
        let found = try? SummaryPage.facts(of: bytes, ordinal: UInt32(ordinal)), found == facts,
        (try? SummaryPage.entries(of: bytes, into: &records)) != nil
      else { return false }
      return areFrameRecords(
        records[max(0, before - 1)...], facts, firstPage: firstPage)
    }
    if !isWhole { records.removeSubrange(before...) }
    return isWhole
  }

  /// Whether a summary names places where its segment has frames, in the order of the log. Anything
  /// else is no summary of this store, whatever its checksum says.
  private func areFrameRecords(
    _ records: ArraySlice<SummaryEntry>, _ facts: SummaryFacts, firstPage: PageIndex
  ) -> Bool {
    let end = firstPage.rawValue + UInt64(facts.endPageCount.rawValue)
    var last = (page: firstPage.rawValue, slot: UInt8.max)
    for record in records {
      let place = (page: record.location.page.rawValue, slot: record.location.slot)
      guard place > last, place.page < end else { return false }
      last = place
    }
    return true
  }

  private func verified(
    _ bytes: RawSpan, at page: PageIndex, _ entry: SegmentEntry
  ) -> PageHeader? {
    try? PageHeader.verify(
      bytes, at: page, generation: entry.generation, uuid: uuid, checksum: checksum)
  }

  /// The header of a segment; nil where its page is not valid.
  func header(of segment: SegmentIndex, entry: SegmentEntry) async -> SegmentHeader? {
    let page = geometry.firstPage(of: segment)
    let buffer = PageBuffer(pageCount: 1)
    guard await device.read(1, pagesAt: page, into: buffer) == nil else { return nil }
    return buffer.withPage(0) { bytes in
      guard verified(bytes, at: page, entry)?.kind == .segmentHeader else { return nil }
      return try? SegmentHeader(decoding: bytes)
    }
  }

  /// The facts that every page of the summary repeats: from the segment's last page, or from any
  /// page behind the frames.
  func facts(of segment: SegmentIndex, entry: SegmentEntry) async -> SummaryFacts? {
    let first = geometry.firstPage(of: segment).rawValue
    let total = Int(geometry.segmentPageCount.rawValue)
    let buffer = PageBuffer(pageCount: 1)
    for offset in stride(from: total - 1, to: Int(entry.endPageCount.rawValue) - 1, by: -1) {
      let page = PageIndex(first + UInt64(offset))
      guard await device.read(1, pagesAt: page, into: buffer) == nil else { continue }
      let facts = buffer.withPage(0) { bytes -> SummaryFacts? in
        guard let header = verified(bytes, at: page, entry), header.kind == .summary else {
          return nil
        }
        return try? SummaryPage.facts(of: bytes, ordinal: nil)
      }
      if let facts, facts.endPageCount == entry.endPageCount,
        facts.summaryPageCount.rawValue >= 1, Int(facts.summaryPageCount.rawValue) * 2 < total
      {
        return facts
      }
    }
    return nil
  }
}
