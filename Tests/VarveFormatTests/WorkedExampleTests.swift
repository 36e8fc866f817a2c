import Testing
import VarveFormat

/// The worked example of FORMAT.md, encoded anew.
@Suite struct WorkedExampleTests {
  static let key = Array("cart:17".utf8)
  static let value = Array("3 apples".utf8)
  static let generation = Generation(1)
  static let segment = SegmentIndex(0)
  static let geometry = Sample.geometry()
  static let headerPage = geometry.firstPage(of: segment)
  static let framePage = headerPage.advanced(by: PageCount(1))
  static let created: UInt64 = 1_767_225_600_000

  static let header = Sample.pages { span in
    SegmentHeader(
      stream: .user, predecessor: .none, predecessorGeneration: Generation(0),
      predecessorEndPageCount: PageCount(0), predecessorFrameChecksum: 0,
      firstSequence: SequenceNumber(1), durableWatermark: .zero, clockMilliseconds: created,
      openEpoch: 1
    ).encode(into: &span)
    PageHeader(
      kind: .segmentHeader, generation: generation, page: headerPage, segment: segment
    ).seal(&span, uuid: Sample.uuid, checksum: Sample.checksum)
  }

  static let record = RecordHeader(
    sequence: SequenceNumber(1), kind: .put, keyByteCount: key.count,
    storedByteCount: value.count, valueByteCount: value.count)

  static let frame = Sample.pages { span in
    key.lend { key in
      value.lend { value in
        record.encode(
          key: key, storedValue: value, into: &span, at: FrameHeader.payloadByteOffset)
      }
    }
    FrameHeader(
      firstSequence: SequenceNumber(1), lastSequence: SequenceNumber(1),
      durableWatermark: .zero, ordinal: 0, pageCount: PageCount(1), recordCount: 1,
      previousChecksum: header.lend { PageHeader.checksumField(of: $0) }, extentsChecksum: 0,
      stream: .user, clockMilliseconds: created, openEpoch: 1
    ).encode(into: &span)
    PageHeader(
      kind: .frameStart, recordCount: 1, generation: generation, page: framePage,
      segment: segment
    ).seal(&span, uuid: Sample.uuid, checksum: Sample.checksum)
  }

  @Test func hexIsWhatTheCodeWrites() throws {
    let blocks = try FormatDocument.load().blocks
    for (title, page, bytes) in [
      ("segment header", Self.headerPage, Self.header), ("frame", Self.framePage, Self.frame),
    ] {
      let expected = HexDump.lines(bytes)
      let found = blocks["hex \(title) at page \(page.rawValue)"]
      #expect(found == expected, "it should read:\n\(expected.joined(separator: "\n"))")
    }
  }

  @Test func derivedNumbers() throws {
    let text = try FormatDocument.load().text
    let location = RecordLocation(
      page: Self.framePage, slot: UInt8(FrameHeader.payloadByteOffset / RecordHeader.alignment),
      pageCount: PageCount(1), recordByteCount: 48, isTombstone: false)
    let secret = HashKey(low: 0x0809_0a0b_0c0d_0e0f, high: 0x0001_0203_0405_0607)
    let hash = Self.key.lend { KeyHash(of: $0, keyedBy: secret) }
    for number in [
      "`0x\(HexDump.digits(location.rawValue, 16))`",
      "`0x\(HexDump.digits(hash.fingerprint, 16))`",
      "`0x\(HexDump.digits(UInt64(hash.selector), 6))`",
    ] {
      let isSaid = text.contains(number)
      #expect(isSaid, "FORMAT.md should contain \(number)")
    }
    let namesStore = text.contains("`\(Sample.uuid)`")
    #expect(namesStore)
    #expect(Self.geometry.firstSegmentPage.rawValue == 16 && Self.geometry.segmentCount == 60)
    #expect(Self.record.recordByteCount == 48)
  }

  /// The recipe of the checksum, followed by hand over the salt and the bytes joined.
  @Test func checksumByTheRecipe() {
    func littleEndian(_ word: UInt64) -> [UInt8] {
      (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
    }
    let joined =
      littleEndian(Sample.uuid.low) + littleEndian(Sample.uuid.high)
      + littleEndian(UInt64(Self.generation.rawValue)) + littleEndian(Self.framePage.rawValue)
      + Self.frame[4...]
    #expect(
      joined.lend { Checksum.plain($0) } == Self.frame.lend { PageHeader.checksumField(of: $0) })
  }

  /// What a reader makes of the bytes.
  @Test func readsBack() throws {
    try Self.frame.lend { bytes in
      let page = try PageHeader.verify(
        bytes, at: Self.framePage, generation: Self.generation, uuid: Sample.uuid,
        checksum: Sample.checksum)
      var cursor = RecordCursor(
        payloadByteOffset: FrameHeader.payloadByteOffset, recordCount: Int(page.recordCount))
      let found = try #require(try cursor.next(in: bytes))
      #expect(found.header == Self.record)
      #expect(Array(Self.frame[found.header.keyRange(at: found.byteOffset)]) == Self.key)
      #expect(Array(Self.frame[found.header.valueRange(at: found.byteOffset)]) == Self.value)
    }
  }
}
