/// Where a record lies, in one word: page (40 bits), slot (the record's place in the page in units
/// of 16 bytes), length hint (how many pages to read) and flags. It names exactly one record, so
/// two versions of a key in one page have different locations: liveness and compare-and-set are
/// one comparison of words. The index keeps it beside a 64-bit fingerprint.
public struct RecordLocation: RawRepresentable, Hashable, Sendable {
  /// The packed word: flags in bits 0–7, length hint in 8–15, slot in 16–23, page in 24–63.
  public let rawValue: UInt64

  /// Wraps a packed word; 0 is "none".
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Packs a location.
  @inlinable
  public init(
    page: PageIndex, slot: UInt8, pageCount: PageCount, isTombstone: Bool, hasExpiry: Bool = false
  ) {
    self.init(
      page: page, slot: slot, lengthHint: RecordLocation.lengthHint(for: pageCount),
      isTombstone: isTombstone, hasExpiry: hasExpiry)
  }

  /// Packs a location from a stored length hint.
  @inlinable
  public init(
    page: PageIndex, slot: UInt8, lengthHint: UInt8, isTombstone: Bool, hasExpiry: Bool = false
  ) {
    rawValue =
      page.rawValue << 24 | UInt64(slot) << 16 | UInt64(lengthHint) << 8
      | (hasExpiry ? 0x80 : 0) | (isTombstone ? 1 : 0)
  }

  /// No location: page 0 holds a superblock and never a record.
  public static let none = RecordLocation(rawValue: 0)

  /// The first page of the extent that holds the record.
  @inlinable public var page: PageIndex { PageIndex(rawValue >> 24) }

  /// The record's place in the extent, in units of 16 bytes.
  @inlinable public var slot: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 16) }

  /// The encoded number of pages.
  @inlinable public var lengthHint: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 8) }

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
}
