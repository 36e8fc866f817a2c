import Testing
import VarveFormat

/// Numbers from the medium are hostile: a decoder answers or throws, it never traps. The cases are
/// random bytes, and valid pages changed at random and sealed anew, so that only the decoder's own
/// checks stand between the numbers and their use.
@Suite struct HostileTests {
  static let seeds: [UInt64] = [51, 52]

  /// Changes `page` at random `count` times, mostly where fields lie, seals it and tries it.
  private func fuzz(
    _ page: [UInt8], count: Int, fieldBytes: Int, seed: UInt64,
    seal: (inout MutableRawSpan) -> Void, decode: (RawSpan) throws -> Void
  ) {
    var random = Seeded(seed)
    let extremes: [UInt64] = [0, 1, .max, .max - 1, 1 << 63, 1 << 62, (1 << 62) + 1, 0xffff_ffff]
    var page = page
    let original = page
    var refusedCount = 0
    for _ in 0..<count {
      var touched: [Int] = []
      page.change { span in
        for _ in 0...random.below(3) {
          let bound = random.below(8) == 0 ? span.byteCount - 8 : fieldBytes
          let offset = random.below(bound)
          let value = random.flip() ? random.next() : extremes[random.below(extremes.count)]
          touched.append(offset)
          switch random.below(4) {
          case 0: span.store(UInt8(truncatingIfNeeded: value), offset)
          case 1: span.store(UInt16(truncatingIfNeeded: value), offset & ~1)
          case 2: span.store(UInt32(truncatingIfNeeded: value), offset & ~3)
          default: span.store(value, offset & ~7)
          }
        }
        seal(&span)
      }
      do { try page.lend(decode) } catch { refusedCount += 1 }
      for offset in touched {
        let start = offset & ~7
        for place in start..<start + 16 where place < page.count { page[place] = original[place] }
      }
    }
    #expect(refusedCount > 0, "seed \(seed): nothing was refused, so nothing was checked")
  }

  @Test(arguments: seeds) func superblocks(seed: UInt64) {
    var random = Seeded(seed)
    for round in 0..<8 {
      let superblock = random.superblock()
      let page = Sample.pages { superblock.encode(into: &$0, copy: 0) }
      fuzz(
        page, count: 250, fieldBytes: 376, seed: seed &+ UInt64(round) &* 1000,
        seal: { Sample.resealSuperblock(&$0, at: PageIndex(0)) },
        decode: { bytes in
          var decoded = try Superblock(decoding: bytes, at: PageIndex(0))
          // What an engine does with the numbers.
          decoded.version += 1
          decoded.openCount += 1
          _ = UInt32(decoded.openCount)
          _ = decoded.sequenceCeiling.rawValue + 1 << 20
          _ = (decoded.checkpoint?.identifier ?? 0) + 1
          for copy in 0..<4 { _ = decoded.geometry.superblockPage(copy: copy) }
          _ = decoded.geometry.segment(containing: decoded.lastFramePage)
          _ = Sample.pages { decoded.encode(into: &$0, copy: 3) }
        })
    }
  }

  @Test(arguments: seeds) func segmentHeaders(seed: UInt64) {
    var random = Seeded(seed)
    let header = random.segmentHeader()
    let page = Sample.pages {
      header.encode(into: &$0)
      Sample.seal(&$0, .segmentHeader)
    }
    fuzz(page, count: 2000, fieldBytes: 96, seed: seed, seal: { Sample.reseal(&$0) }) {
      let pageHeader = try Sample.verify($0)
      guard pageHeader.kind == .segmentHeader else { return }
      let decoded = try SegmentHeader(decoding: $0)
      _ = decoded.firstSequence.rawValue + 1
      _ = decoded.predecessorGeneration.rawValue + 1
    }
  }

  @Test(arguments: seeds) func frames(seed: UInt64) {
    var random = Seeded(seed)
    for round in 0..<8 {
      let records = (0..<6).map { _ in random.record(keyBelow: 40, valueBelow: 300) }
      let page = Sample.frame(records, random.frameHeader())
      fuzz(
        page, count: 250, fieldBytes: 1200, seed: seed &+ UInt64(round) &* 1000,
        seal: { Sample.reseal(&$0) }, decode: { try self.walk($0) })
    }
  }

  /// Reads a frame of one page the way a scan does.
  private func walk(_ bytes: RawSpan) throws {
    let pageHeader = try Sample.verify(bytes)
    let frame = try FrameHeader(decoding: bytes)
    _ = frame.lastSequence.rawValue + 1
    _ = frame.ordinal &+ 1
    let extent = bytes.extracting(0..<pageHeader.extentPageCount.byteCount)
    var cursor = RecordCursor(
      payloadByteOffset: FrameHeader.payloadByteOffset(in: pageHeader.kind),
      recordCount: Int(pageHeader.recordCount))
    while let found = try cursor.next(in: extent) {
      let entry = found.summaryEntry(
        in: extent, page: pageHeader.page, pageCount: pageHeader.extentPageCount,
        hashKey: Sample.hashKey)
      _ = entry.location.pageCountToRead
      let value = extent.extracting(found.header.valueRange(at: found.byteOffset))
      if found.header.isCompressed {
        _ = try? ValueCodecTests.decompress(value.copied(), found.header.valueByteCount)
      }
    }
  }

  @Test(arguments: seeds) func recordHeaders(seed: UInt64) {
    var random = Seeded(seed)
    let pool = random.bytes(1 << 16)
    var refusedCount = 0
    pool.lend { bytes in
      for _ in 0..<10_000 {
        let start = random.below(pool.count - 4096)
        let extent = bytes.extracting(start..<start + random.below(4096))
        let offset = random.below(4096) - 8
        do {
          let header = try RecordHeader(decoding: extent, at: offset)
          _ = extent.extracting(header.valueRange(at: offset))
        } catch { refusedCount += 1 }
      }
    }
    #expect(refusedCount > 0)
  }

  @Test(arguments: seeds) func summaries(seed: UInt64) {
    var random = Seeded(seed)
    for round in 0..<5 {
      let page = Sample.summary(random.summaryEntries(60))[0]
      fuzz(
        page, count: 200, fieldBytes: 2000, seed: seed &+ UInt64(round) &* 1000,
        seal: { Sample.reseal(&$0) },
        decode: { bytes in
          guard try Sample.verify(bytes).kind == .summary else { return }
          let facts = try SummaryPage.facts(of: bytes, ordinal: nil)
          _ = facts.lastSequence.rawValue + 1
          _ = Sample.geometry().framePageLimit(summaryPages: facts.summaryPageCount)
          var entries: [SummaryEntry] = []
          try SummaryPage.entries(of: bytes, into: &entries)
          for entry in entries {
            _ = entry.sequence.rawValue + 1
            _ = Sample.geometry().segment(containing: entry.location.page)
            _ = entry.location.pageCountToRead
          }
        })
    }
  }

  @Test(arguments: seeds) func segmentTables(seed: UInt64) {
    var random = Seeded(seed)
    for round in 0..<5 {
      var table = random.tablePage()
      table.entries = (0..<40).map { _ in random.segmentEntry() }
      let page = Sample.pages {
        table.encode(into: &$0, at: Sample.page, uuid: Sample.uuid, checksum: Sample.checksum)
      }
      fuzz(
        page, count: 200, fieldBytes: 700, seed: seed &+ UInt64(round) &* 1000,
        seal: { Sample.reseal(&$0, generation: Generation(0)) },
        decode: { bytes in
          let decoded = try SegmentTablePage(
            decoding: bytes, at: Sample.page, ordinal: table.ordinal, uuid: Sample.uuid,
            checksum: Sample.checksum)
          _ = decoded.version + 1
          for entry in decoded.entries { _ = entry.generation.rawValue + 1 }
        })
    }
  }

  @Test(arguments: seeds) func checkpoints(seed: UInt64) {
    var random = Seeded(seed)
    let entries = (0..<100).map { _ in
      CheckpointEntry(hash: random.keyHash(), location: random.location())
    }
    let generations = (0..<200).map { _ in random.generation() }
    let root = random.checkpointRoot()
    let pages = [
      Sample.pages { CheckpointPage.encode(entries[...], into: &$0, identifier: 3, ordinal: 0) },
      Sample.pages {
        CheckpointPage.encode(generations[...], into: &$0, identifier: 3, ordinal: 0)
      },
      Sample.pages { CheckpointPage.encode(root, into: &$0) },
    ]
    for (number, page) in pages.enumerated() {
      var sealed = page
      sealed.change { Sample.seal(&$0, .checkpoint) }
      fuzz(
        sealed, count: 1000, fieldBytes: 600, seed: seed &+ UInt64(number),
        seal: { Sample.reseal(&$0) },
        decode: { bytes in
          _ = try Sample.verify(bytes)
          let kind = try CheckpointPage.kind(
            of: bytes, identifier: number == 2 ? root.identifier : 3, ordinal: nil)
          let count = try CheckpointPage.count(of: bytes, kind: kind)
          if kind == .root {
            let root = try CheckpointPage.root(of: bytes)
            _ = 1 << Int(root.selectorBitCount)
            _ = root.cutSequence.rawValue + 1
          }
          for index in 0..<count {
            if kind == .entries {
              _ = try CheckpointPage.entry(of: bytes, at: index).location.pageCountToRead
            } else {
              _ = try CheckpointPage.generation(of: bytes, at: index).rawValue + 1
            }
          }
        })
    }
  }

  /// Random bytes as any structure.
  @Test(arguments: seeds) func randomPages(seed: UInt64) {
    var random = Seeded(seed)
    let pool = random.bytes(1 << 17)
    var acceptedCount = 0
    pool.lend { bytes in
      for _ in 0..<1500 {
        let start = random.below(pool.count - 2 * 4096)
        let page = bytes.extracting(start..<start + 4096)
        acceptedCount += acceptances(of: page)
      }
    }
    #expect(acceptedCount < 5000 * 9)
  }

  /// How many of the decoders take these bytes for theirs.
  private func acceptances(of page: RawSpan) -> Int {
    var entries: [SummaryEntry] = []
    var count = 0
    func note<Decoded>(_ decoded: Decoded?) { count += decoded == nil ? 0 : 1 }
    note(try? Superblock(decoding: page, at: PageIndex(0)))
    note(try? Sample.verify(page))
    note(try? SegmentHeader(decoding: page))
    note(try? FrameHeader(decoding: page))
    note(try? SummaryPage.facts(of: page, ordinal: nil))
    note(try? SummaryPage.entries(of: page, into: &entries))
    note(try? CheckpointPage.root(of: page))
    note(try? CheckpointPage.kind(of: page, identifier: 1, ordinal: 0))
    note(
      try? Geometry(
        deviceByteCount: page.load(0),
        segmentByteCount: Int(truncatingIfNeeded: page.load(8, as: UInt64.self))))
    return count
  }
}
