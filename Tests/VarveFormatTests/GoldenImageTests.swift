import Foundation
import Testing
import VarveFormat

/// The golden images, read by the format alone: what was written in version 1 still decodes, and
/// is still encoded to the same bytes.
@Suite struct GoldenImageTests {
  /// An image and the pages of it that were damaged on purpose.
  static let images: [(name: String, damagedPages: [UInt64])] = [
    ("v1-clean", []), ("v1-unclean", []), ("v1-damaged", [17]),
  ]

  @Test(arguments: images) func superblocks(name: String, damagedPages: [UInt64]) throws {
    let image = try Image(name)
    for copy in 0..<Superblock.copyCount {
      let page = image.superblock.geometry.superblockPage(copy: copy)
      let superblock = try image.page(page).lend { try Superblock(decoding: $0, at: page) }
      #expect(superblock == image.superblock, "copy \(copy)")
      #expect(Sample.pages { superblock.encode(into: &$0, copy: copy) } == image.page(page))
    }
    #expect(image.superblock.cut != nil && image.superblock.checkpoint != nil)
  }

  @Test(arguments: images) func segmentTable(name: String, damagedPages: [UInt64]) throws {
    let image = try Image(name)
    for place in 0..<4 {
      let page = image.superblock.geometry.tablePage(0, copy: place / 2, slot: place % 2)
      let table = try image.page(page).lend { bytes in
        try SegmentTablePage(
          decoding: bytes, at: page, ordinal: 0, uuid: image.superblock.uuid,
          checksum: image.checksum)
      }
      #expect(table.slot == place % 2)
      let encoded = Sample.pages {
        table.encode(
          into: &$0, at: page, uuid: image.superblock.uuid, checksum: image.checksum)
      }
      #expect(encoded == image.page(page))
    }
  }

  /// Every page that the store wrote verifies at its address, and every structure in it decodes.
  @Test(arguments: images) func pages(name: String, damagedPages: [UInt64]) throws {
    let image = try Image(name)
    let geometry = image.superblock.geometry
    var found = Set<PageKind>()
    var damaged: [UInt64] = []
    var number = geometry.firstSegmentPage.rawValue
    while geometry.segment(containing: PageIndex(number)) != nil {
      defer { number += 1 }
      let page = PageIndex(number)
      let bytes = Array(image.bytes[(Int(number) * Limits.pageByteCount)...])
      guard let peeked = try? bytes.lend({ try PageHeader.peek($0, uuid: image.superblock.uuid) })
      else { continue }
      do {
        try bytes.lend { try image.decode($0, peeked, at: page) }
        found.insert(peeked.kind)
      } catch FormatError.checksum {
        damaged.append(number)
      }
      number += UInt64(peeked.extentPageCount.rawValue) - 1
    }
    #expect(damaged == damagedPages)
    #expect(
      found == [.segmentHeader, .frameStart, .frameContinuation, .summary, .checkpoint])
  }

  /// An image in memory, and what its superblock says.
  struct Image {
    let bytes: [UInt8]
    let superblock: Superblock
    let checksum: Checksum

    init(_ name: String) throws {
      let url = FormatDocument.root.appending(path: "Fixtures/\(name).img")
      bytes = [UInt8](try Data(contentsOf: url))
      superblock = try Array(bytes[..<Limits.pageByteCount]).lend {
        try Superblock(decoding: $0, at: PageIndex(0))
      }
      checksum = Checksum(uuid: superblock.uuid)
    }

    func page(_ page: PageIndex) -> [UInt8] {
      let start = Int(page.rawValue) * Limits.pageByteCount
      return Array(bytes[start..<start + Limits.pageByteCount])
    }

    /// Verifies a page and decodes what its kind says that it holds.
    func decode(_ bytes: RawSpan, _ peeked: PageHeader, at page: PageIndex) throws {
      let header = try PageHeader.verify(
        bytes, at: page, generation: peeked.generation, uuid: superblock.uuid,
        checksum: checksum)
      #expect(header.segment == superblock.geometry.segment(containing: page))
      let extent = bytes.extracting(0..<header.extentPageCount.byteCount)
      switch header.kind {
      case .segmentHeader:
        _ = try SegmentHeader(decoding: extent)
      case .frameStart, .frameContinuation:
        if header.kind == .frameStart { _ = try FrameHeader(decoding: extent) }
        var cursor = RecordCursor(
          payloadByteOffset: FrameHeader.payloadByteOffset(in: header.kind),
          recordCount: Int(header.recordCount))
        while let record = try cursor.next(in: extent) { try decodeValue(of: record, in: extent) }
      case .summary:
        _ = try SummaryPage.facts(of: extent, ordinal: nil)
        var entries: [SummaryEntry] = []
        try SummaryPage.entries(of: extent, into: &entries)
      case .checkpoint:
        let reference = try #require(superblock.checkpoint)
        _ = try CheckpointPage.kind(of: extent, identifier: reference.identifier, ordinal: nil)
      case .segmentTable:
        Issue.record("a page of the segment table in a segment, at \(page.rawValue)")
      }
    }

    private func decodeValue(of record: RecordCursor.Found, in extent: RawSpan) throws {
      guard record.header.isCompressed else { return }
      var value = [UInt8](repeating: 0, count: record.header.valueByteCount)
      let stored = extent.extracting(record.header.valueRange(at: record.byteOffset))
      try value.withUnsafeMutableBytes {
        var output = MutableRawSpan(_unsafeBytes: $0)
        try ValueCodec.decompress(stored, into: &output)
      }
    }
  }
}
