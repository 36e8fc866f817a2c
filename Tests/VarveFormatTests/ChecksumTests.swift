import CVarveCPU
import Testing
import VarveFormat

/// CRC32C and its salt.
@Suite struct ChecksumTests {
  /// RFC 3720, B.4, and the check value of the catalogue of parametrised CRCs.
  @Test func knownVectors() {
    let vectors: [([UInt8], UInt32)] = [
      (Array("123456789".utf8), 0xe306_9283),
      ([], 0),
      ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
      ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
      ([UInt8](0..<32), 0x46dd_794e),
      ((0..<32).reversed(), 0x113f_db5c),
    ]
    for (bytes, expected) in vectors {
      #expect(bytes.lend { Checksum.plain($0) } == expected)
      #expect(varve_crc32c_portable(0, bytes, bytes.count) == expected)
    }
  }

  /// The instruction and the table agree, whatever the length, the alignment and the seed.
  @Test(arguments: [1, 2] as [UInt64]) func hardwareEqualsTable(seed: UInt64) {
    var random = Seeded(seed)
    let pool = random.bytes(40_000)
    for round in 0..<600 {
      let byteCount = round < 200 ? round : random.below(20_000)
      let start = random.below(pool.count - byteCount)
      let initial = random.word32()
      pool.withUnsafeBytes { bytes in
        let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<start + byteCount])
        #expect(
          varve_crc32c(initial, slice.baseAddress, byteCount)
            == varve_crc32c_portable(initial, slice.baseAddress, byteCount),
          "seed \(seed), \(byteCount) bytes at \(start)")
      }
    }
  }

  /// A checksum can be continued at any place.
  @Test func continues() {
    var random = Seeded(3)
    let bytes = random.bytes(10_000)
    let whole = bytes.lend { Checksum.plain($0) }
    for _ in 0..<50 {
      let cut = random.below(bytes.count)
      let first = Array(bytes[..<cut]).lend { Checksum.plain($0) }
      #expect(Array(bytes[cut...]).lend { Checksum.plain($0, seed: first) } == whole)
    }
  }

  /// The word form is the byte form of a little-endian word.
  @Test func wordIsLittleEndian() {
    #expect(
      Checksum.word(0x0807_0605_0403_0201, seed: 5)
        == ([1, 2, 3, 4, 5, 6, 7, 8] as [UInt8]).lend { Checksum.plain($0, seed: 5) })
  }

  /// A page counts for one store, one use of a segment and one address.
  @Test func salt() {
    let page = Sample.pages { Sample.seal(&$0, .segmentHeader) }
    page.lend { bytes in
      #expect(throws: Never.self) { try Sample.verify(bytes) }
      #expect(throws: FormatError.stale) {
        try PageHeader.verify(
          bytes, at: PageIndex(193), generation: Sample.generation, uuid: Sample.uuid,
          checksum: Sample.checksum)
      }
      #expect(throws: FormatError.stale) {
        try PageHeader.verify(
          bytes, at: Sample.page, generation: Generation(8), uuid: Sample.uuid,
          checksum: Sample.checksum)
      }
      let other = StoreUUID(low: Sample.uuid.low + 1, high: Sample.uuid.high)
      #expect(throws: FormatError.notThisStructure) {
        try PageHeader.verify(
          bytes, at: Sample.page, generation: Sample.generation, uuid: other,
          checksum: Checksum(uuid: other))
      }
      // The same prefix in clear, another identity behind it.
      let twin = StoreUUID(low: Sample.uuid.low, high: Sample.uuid.high + 1)
      #expect(throws: FormatError.checksum) {
        try PageHeader.verify(
          bytes, at: Sample.page, generation: Sample.generation, uuid: twin,
          checksum: Checksum(uuid: twin))
      }
    }
  }

  /// Even if the fields in clear are forged, the salt tells another place or use.
  @Test func forgedFieldsFailTheSalt() {
    var moved = Sample.pages { Sample.seal(&$0, .segmentHeader) }
    moved.change { $0.store(193 as UInt64, 16) }
    moved.lend { bytes in
      #expect(throws: FormatError.checksum) {
        try PageHeader.verify(
          bytes, at: PageIndex(193), generation: Sample.generation, uuid: Sample.uuid,
          checksum: Sample.checksum)
      }
    }
    var reused = Sample.pages { Sample.seal(&$0, .segmentHeader) }
    reused.change { $0.store(8 as UInt32, 8) }
    reused.lend { bytes in
      #expect(throws: FormatError.checksum) {
        try PageHeader.verify(
          bytes, at: Sample.page, generation: Generation(8), uuid: Sample.uuid,
          checksum: Sample.checksum)
      }
    }
  }

  /// A single changed bit of a page is noticed wherever it is, and so is a torn sector.
  @Test func noticesDamage() {
    var random = Seeded(4)
    var page = Sample.pages { span in
      for offset in stride(from: 32, to: Limits.pageByteCount, by: 8) {
        span.store(random.next(), offset)
      }
      Sample.seal(&span, .frameContinuation, recordCount: 1)
    }
    var unnoticed: [Int] = []
    // All bits of the header, and one of each byte behind it.
    let header = PageHeader.byteCount * 8
    let rest = (PageHeader.byteCount..<Limits.pageByteCount).map { $0 * 8 + $0 % 8 }
    for bit in Array(0..<header) + rest {
      page[bit / 8] ^= 1 << UInt8(bit % 8)
      if (try? page.lend(Sample.verify)) != nil { unnoticed.append(bit) }
      page[bit / 8] ^= 1 << UInt8(bit % 8)
    }
    #expect(unnoticed.isEmpty)
    for sector in stride(from: 0, to: Limits.pageByteCount, by: Limits.sectorByteCount) {
      var torn = page
      torn.change { $0.zero(sector..<sector + Limits.sectorByteCount) }
      #expect(throws: FormatError.self) { try torn.lend(Sample.verify) }
    }
    #expect(throws: Never.self) { try page.lend(Sample.verify) }
  }

  @Test func blankIsNotForeign() {
    let blank = Sample.pages { _ in }
    #expect(throws: FormatError.blank) { try blank.lend(Sample.verify) }
    var foreign = blank
    foreign[4000] = 1
    #expect(throws: FormatError.notThisStructure) { try foreign.lend(Sample.verify) }
  }
}
