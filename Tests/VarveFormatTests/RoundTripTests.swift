import Testing
import VarveFormat

/// What is written is read back, for random values of every structure.
@Suite struct RoundTripTests {
  static let seeds: [UInt64] = [101, 102, 103]

  @Test(arguments: seeds) func superblock(seed: UInt64) throws {
    var random = Seeded(seed)
    for byteCount in [2 << 20, (2 << 20) + 4096, 1 << 30, 16 << 40] as [UInt64] {
      let geometry = Sample.geometry(
        byteCount, Geometry.defaultSegmentByteCount(forDeviceByteCount: byteCount))
      for _ in 0..<50 {
        let superblock = random.superblock(geometry)
        for copy in 0..<Superblock.copyCount {
          let page = Sample.pages { superblock.encode(into: &$0, copy: copy) }
          let location = geometry.superblockPage(copy: copy)
          let decoded = try Superblock(decoding: page.span.bytes, at: location)
          #expect(decoded == superblock, "seed \(seed)")
          #expect(throws: FormatError.checksum) {
            try Superblock(decoding: page.span.bytes, at: PageIndex(location.rawValue + 1))
          }
        }
      }
    }
  }

  @Test func superblockOfANewerLibrary() {
    var random = Seeded(104)
    var superblock = random.superblock()
    superblock.features = FeatureFlags(incompatible: 1)
    var page = Sample.pages { superblock.encode(into: &$0, copy: 0) }
    #expect(throws: FormatError.newerFormat) {
      try Superblock(decoding: page.span.bytes, at: PageIndex(0))
    }
    superblock.features = FeatureFlags()
    page = Sample.pages { superblock.encode(into: &$0, copy: 0) }
    page.change {
      $0.store(Superblock.formatVersion + 1, 12)
      Sample.resealSuperblock(&$0, at: PageIndex(0))
    }
    #expect(throws: FormatError.newerFormat) {
      try Superblock(decoding: page.span.bytes, at: PageIndex(0))
    }
  }

  @Test func verdicts() {
    #expect(FeatureFlags().verdict == .readWrite)
    #expect(FeatureFlags(compatible: .max).verdict == .readWrite)
    #expect(FeatureFlags(compatible: 1, readOnlyCompatible: 2).verdict == .readOnly)
    #expect(FeatureFlags(readOnlyCompatible: 1, incompatible: 1 << 63).verdict == .refuse)
  }

  @Test(arguments: seeds) func segmentHeader(seed: UInt64) throws {
    var random = Seeded(seed)
    for _ in 0..<200 {
      let header = random.segmentHeader()
      let page = Sample.pages {
        header.encode(into: &$0)
        Sample.seal(&$0, .segmentHeader)
      }
      let pageHeader = try Sample.verify(page.span.bytes)
      #expect(pageHeader.kind == .segmentHeader && pageHeader.segment == Sample.segment)
      #expect(try SegmentHeader(decoding: page.span.bytes) == header, "seed \(seed)")
    }
  }

  /// Frames of one page with as many records as fit, and of one large record.
  @Test(arguments: seeds) func frames(seed: UInt64) throws {
    var random = Seeded(seed)
    for round in 0..<90 {
      var records = [random.record(keyBelow: 4096, valueBelow: 20_000)]
      if round % 3 > 0 {
        records = []
        var room = Limits.pageByteCount - FrameHeader.payloadByteOffset
        while true {
          let next = random.record(keyBelow: 60, valueBelow: 700)
          room -= next.header.recordByteCount
          if room < 0 { break }
          records.append(next)
        }
      }
      let byteCount = records.reduce(FrameHeader.payloadByteOffset) {
        $0 + $1.header.recordByteCount
      }
      let pageCount = (byteCount + Limits.pageByteCount - 1) / Limits.pageByteCount
      let header = random.frameHeader()
      let extent = Sample.frame(records, header, pageCount: pageCount)
      let pageHeader = try Sample.verify(extent.span.bytes)
      #expect(pageHeader.extentPageCount.rawValue == UInt32(pageCount))
      #expect(try FrameHeader(decoding: extent.span.bytes) == header, "seed \(seed)")
      try check(records, in: extent)
    }
  }

  private func check(
    _ records: [(header: RecordHeader, key: [UInt8], storedValue: [UInt8])], in extent: [UInt8]
  ) throws {
    var cursor = RecordCursor(
      payloadByteOffset: FrameHeader.payloadByteOffset(in: .frameStart),
      recordCount: records.count)
    for record in records {
      let found = try #require(try cursor.next(in: extent.span.bytes))
      #expect(found.header == record.header)
      #expect(Array(extent[found.header.keyRange(at: found.byteOffset)]) == record.key)
      #expect(Array(extent[found.header.valueRange(at: found.byteOffset)]) == record.storedValue)
      let entry = found.summaryEntry(
        in: extent.span.bytes, page: Sample.page,
        pageCount: PageCount(UInt32(extent.count / Limits.pageByteCount)),
        hashKey: Sample.hashKey)
      #expect(entry.sequence == record.header.sequence)
      #expect(entry.hash == KeyHash(of: record.key.span.bytes, keyedBy: Sample.hashKey))
      #expect(Int(entry.location.slot) * RecordHeader.alignment == found.byteOffset)
      #expect(entry.location.isTombstone == (record.header.kind == .tombstone))
      let end = found.header.valueRange(at: found.byteOffset).upperBound
      let recordEnd = found.byteOffset + found.header.recordByteCount
      #expect(extent[end..<recordEnd].allSatisfy { $0 == 0 } && recordEnd - end < 16)
    }
    #expect(try cursor.next(in: extent.span.bytes) == nil)
  }

  @Test(arguments: seeds) func segmentTable(seed: UInt64) throws {
    var random = Seeded(seed)
    for _ in 0..<30 {
      let table = random.tablePage()
      let page = Sample.pages {
        table.encode(into: &$0, at: Sample.page, uuid: Sample.uuid, checksum: Sample.checksum)
      }
      let decoded = try SegmentTablePage(
        decoding: page.span.bytes, at: Sample.page, ordinal: table.ordinal, uuid: Sample.uuid,
        checksum: Sample.checksum)
      #expect(decoded == table, "seed \(seed)")
      #expect(decoded.slot == Int(table.version % 2))
      #expect(throws: FormatError.notThisStructure) {
        try SegmentTablePage(
          decoding: page.span.bytes, at: Sample.page, ordinal: table.ordinal &+ 1,
          uuid: Sample.uuid, checksum: Sample.checksum)
      }
    }
  }

  @Test(arguments: seeds) func checkpoint(seed: UInt64) throws {
    var random = Seeded(seed)
    for _ in 0..<30 {
      let entries = random.checkpointEntries()
      var page = Sample.pages {
        CheckpointPage.encode(entries[...], into: &$0, identifier: 9, ordinal: 4)
      }
      try page.lend { bytes in
        let kind = try CheckpointPage.kind(of: bytes, identifier: 9, ordinal: 4)
        #expect(kind == .entries)
        #expect(throws: FormatError.stale) {
          try CheckpointPage.kind(of: bytes, identifier: 8, ordinal: 4)
        }
        #expect(throws: FormatError.self) {
          try CheckpointPage.kind(of: bytes, identifier: 9, ordinal: 5)
        }
        let count = try CheckpointPage.count(of: bytes, kind: .entries)
        #expect(count == entries.count)
        for (index, entry) in entries.enumerated() {
          let decoded = try CheckpointPage.entry(of: bytes, at: index)
          #expect(decoded == entry, "seed \(seed)")
        }
      }
      let generations = (0...random.below(CheckpointPage.generationsPerPage)).map { _ in
        random.generation()
      }
      page = Sample.pages {
        CheckpointPage.encode(generations[...], into: &$0, identifier: 9, ordinal: 4)
      }
      try page.lend { bytes in
        let kind = try CheckpointPage.kind(of: bytes, identifier: 9, ordinal: nil)
        let count = try CheckpointPage.count(of: bytes, kind: .generations)
        #expect(kind == .generations && count == generations.count)
        for (index, generation) in generations.enumerated() {
          let decoded = try CheckpointPage.generation(of: bytes, at: index)
          #expect(decoded == generation)
        }
      }
      let root = random.checkpointRoot()
      page = Sample.pages { CheckpointPage.encode(root, into: &$0) }
      #expect(
        try CheckpointPage.kind(
          of: page.span.bytes, identifier: root.identifier, ordinal: root.pageCount) == .root)
      #expect(try CheckpointPage.root(of: page.span.bytes) == root, "seed \(seed)")
    }
  }
}
