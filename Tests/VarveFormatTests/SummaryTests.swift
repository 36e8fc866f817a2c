import Testing
import VarveFormat

/// Segment summaries: exact whatever they name, small for what writers write.
@Suite struct SummaryTests {
  static func decode(_ pages: [[UInt8]]) throws -> [SummaryEntry] {
    var entries: [SummaryEntry] = []
    for (ordinal, page) in pages.enumerated() {
      let header = try page.lend(Sample.verify)
      #expect(header.kind == .summary)
      _ = try SummaryPage.facts(of: page.span.bytes, ordinal: UInt32(ordinal))
      try SummaryPage.entries(of: page.span.bytes, into: &entries)
    }
    return entries
  }

  @Test(arguments: [31, 32, 33] as [UInt64]) func roundTrip(seed: UInt64) throws {
    var random = Seeded(seed)
    for count in [0, 1, 2, 50, 96, 97, 98, 500, 3000] {
      let entries = random.summaryEntries(count)
      let pages = Sample.summary(entries)
      #expect(try Self.decode(pages) == entries, "seed \(seed), \(count) entries")
      let first = pages[0]
      let facts = try SummaryPage.facts(of: first.span.bytes, ordinal: 0)
      #expect(facts.recordCount == UInt32(count))
      #expect(facts.summaryPageCount.rawValue == UInt32(pages.count))
      let sequences = entries.map(\.sequence)
      #expect(facts.lastSequence == sequences.max() ?? .zero)
      #expect(facts.firstSequence == sequences.min() ?? .zero)
    }
  }

  /// Every page stands alone: the loss of one does not touch the others.
  @Test func pagesStandAlone() throws {
    var random = Seeded(34)
    let entries = random.summaryEntries(1000)
    let pages = Sample.summary(entries)
    var joined: [SummaryEntry] = []
    for page in pages.reversed() {
      var part: [SummaryEntry] = []
      try SummaryPage.entries(of: page.span.bytes, into: &part)
      joined = part + joined
    }
    #expect(joined == entries && pages.count > 3)
  }

  /// What a user's writes give: sequences in order, pages in order, some tombstones, some large.
  @Test(arguments: [41, 42] as [UInt64]) func atMostTwentyBytesARecord(seed: UInt64) throws {
    var random = Seeded(seed)
    for recordsPerPage in [1, 3, 20] {
      var entries: [SummaryEntry] = []
      var page: UInt64 = 1_000_000
      for number in 0..<6000 {
        if number % recordsPerPage == 0 { page += UInt64(1 + random.below(2)) }
        entries.append(
          SummaryEntry(
            hash: random.keyHash(), sequence: SequenceNumber(UInt64(7_000_000 + number)),
            location: RecordLocation(
              page: PageIndex(page), slot: UInt8(random.below(256)),
              pageCount: PageCount(recordsPerPage == 1 ? UInt32(1 + random.below(40)) : 1),
              recordByteCount: 16 * (1 + random.below(250)),
              isTombstone: random.below(10) == 0), expiryMilliseconds: 0))
      }
      let pages = Sample.summary(entries)
      #expect(try Self.decode(pages) == entries)
      let perRecord = Double(pages.count * Limits.pageByteCount) / Double(entries.count)
      #expect(perRecord <= 20, "seed \(seed): \(perRecord) bytes a record")
    }
  }

  /// The bound that the log reserves space by holds for any entries.
  @Test func pageBoundHolds() {
    var random = Seeded(43)
    var builder = SummaryBuilder()
    for _ in 0..<300 {
      let entries = random.summaryEntries(random.below(200))
      let bound = builder.pageCount(withAdditional: entries.count)
      for entry in entries { builder.append(entry) }
      #expect(builder.pageCount <= bound)
    }
  }

  /// An entry whose fields all take their longest form fits the stated bound.
  @Test func longestEntries() throws {
    let entries = (0..<200).map { number in
      SummaryEntry(
        hash: KeyHash(fingerprint: .max, selector: 0xff_ffff),
        sequence: SequenceNumber(number % 2 == 0 ? 1 : Limits.maximumCounter),
        location: RecordLocation(
          page: PageIndex(number % 2 == 0 ? Limits.maximumPageCount - 1 : 1), slot: 255,
          lengthHint: 255, sizeClass: 0, isTombstone: true, hasExpiry: true),
        expiryMilliseconds: .max)
    }
    #expect(try Self.decode(Sample.summary(entries)) == entries)
  }
}
