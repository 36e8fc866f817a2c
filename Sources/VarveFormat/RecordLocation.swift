/// Where a record lies, in one word: page (40 bits), slot (the record's place in the page in units
/// of 16 bytes), length hint (how many pages to read), size class and flags. It names exactly one
/// record, so two versions of a key in one page have different locations: liveness and
/// compare-and-set are one comparison of words. The index keeps it beside a 64-bit fingerprint, and
/// says with it how many bytes die with a record that is superseded without being read.
public struct RecordLocation: RawRepresentable, Hashable, Sendable {
  /// The packed word: tombstone in bit 0, size class in 1–6, length hint in 8–15, slot in 16–23,
  /// page in 24–63.
  public let rawValue: UInt64

  /// Wraps a packed word; 0 is "none".
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Packs the location of a record of so many bytes.
  @inlinable
  public init(
    page: PageIndex, slot: UInt8, pageCount: PageCount, recordByteCount: Int, isTombstone: Bool,
    hasExpiry: Bool = false
  ) {
    let hint = RecordLocation.lengthHint(for: pageCount)
    self.init(
      page: page, slot: slot, lengthHint: hint,
      sizeClass: hint == 0 ? RecordLocation.sizeClass(for: recordByteCount) : 0,
      isTombstone: isTombstone, hasExpiry: hasExpiry)
  }

  /// Packs a location from a stored length hint and size class.
  @inlinable
  public init(
    page: PageIndex, slot: UInt8, lengthHint: UInt8, sizeClass: UInt8, isTombstone: Bool,
    hasExpiry: Bool = false
  ) {
    rawValue =
      page.rawValue << 24 | UInt64(slot) << 16 | UInt64(lengthHint) << 8
      | (hasExpiry ? 0x80 : 0) | UInt64(sizeClass) << 1 | (isTombstone ? 1 : 0)
  }

  /// No location: page 0 holds a superblock and never a record.
  public static let none = RecordLocation(rawValue: 0)

  /// The first page of the extent that holds the record.
  @inlinable public var page: PageIndex { PageIndex(rawValue >> 24) }

  /// The record's place in the extent, in units of 16 bytes.
  @inlinable public var slot: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 16) }

  /// The encoded number of pages.
  @inlinable public var lengthHint: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 8) }

  /// The size of a record that lies within a page, encoded; 0 for larger ones.
  @inlinable public var sizeClass: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 1) & 63 }

  /// Bytes of the record, rounded up: by less than 112 within a page, to whole pages (exact up to
  /// 128) beyond.
  @inlinable public var byteCount: Int {
    lengthHint == 0
      ? RecordLocation.byteCount(ofSizeClass: sizeClass)
      : Int(pageCountToRead.rawValue) * Limits.pageByteCount
  }

  /// Bytes of pages that the record takes among records of its own size, in segments with so many
  /// pages for records: what moving it costs, and what its death gives back. Of records of 2,100
  /// bytes each has a page of its own; of records of three pages a segment with five holds one.
  @inlinable
  public func packedByteCount(payloadPageCount: Int) -> Int {
    guard lengthHint == 0 else {
      let payloadByteCount = payloadPageCount * Limits.pageByteCount
      let count = max(1, payloadPageCount / Int(pageCountToRead.rawValue))
      return (payloadByteCount + count - 1) / count
    }
    let available = Limits.pageByteCount - PageHeader.byteCount
    let count = max(1, available / byteCount)
    return (Limits.pageByteCount + count - 1) / count
  }

  /// Whether the record is a tombstone.
  @inlinable public var isTombstone: Bool { rawValue & 1 != 0 }

  /// Whether the record has an expiry: only it says whether the key has a value.
  @inlinable public var hasExpiry: Bool { rawValue & 0x80 != 0 }

  /// Pages to read so that the whole extent is there: exact up to 128, then rounded up to 32.
  @inlinable public var pageCountToRead: PageCount {
    let hint = UInt32(lengthHint)
    return PageCount(hint < 128 ? hint + 1 : 128 + (hint - 127) * 32)
  }

  /// The same record at another page: what a rewrite of whole pages elsewhere does.
  @inlinable
  public func moved(to page: PageIndex) -> RecordLocation {
    RecordLocation(rawValue: page.rawValue << 24 | rawValue & 0xff_ffff)
  }

  /// Encodes a number of pages, rounding up where a byte cannot hold it.
  @inlinable
  public static func lengthHint(for pageCount: PageCount) -> UInt8 {
    let count = pageCount.rawValue
    precondition(
      count >= 1 && count <= UInt32(Limits.maximumExtentPageCount),
      "an extent has 1 to 4224 pages")
    return count <= 128 ? UInt8(count - 1) : UInt8(127 + (count - 128 + 31) / 32)
  }

  /// Encodes the size of a record within a page: exact (records are multiples of 16 bytes) up to
  /// 512 bytes, then in steps of 112.
  @inlinable
  public static func sizeClass(for recordByteCount: Int) -> UInt8 {
    precondition(
      recordByteCount >= 1 && recordByteCount <= Limits.pageByteCount, "a record within a page")
    return recordByteCount <= 512
      ? UInt8((recordByteCount - 1) / 16) : UInt8(32 + (recordByteCount - 513) / 112)
  }

  /// The largest record of a size class, in bytes.
  @inlinable
  public static func byteCount(ofSizeClass sizeClass: UInt8) -> Int {
    sizeClass < 32 ? (Int(sizeClass) + 1) * 16 : 512 + (Int(sizeClass) - 31) * 112
  }
}
