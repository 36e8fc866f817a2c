// The units of the format. Index, count and offset are distinct types, so that a page index is
// never taken for a byte offset; conversions are named and range-checked by `Geometry`.

/// The index of a 4 KiB page, counted from the start of the device. 40 bits are stored.
public struct PageIndex: RawRepresentable, Hashable, Comparable, Sendable {
  /// Pages from the start of the device.
  public let rawValue: UInt64

  /// Wraps a page number.
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Wraps a page number.
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// Orders pages by their place on the device.
  @inlinable public static func < (left: Self, right: Self) -> Bool {
    left.rawValue < right.rawValue
  }

  /// The page that lies `count` pages further on.
  @inlinable public func advanced(by count: PageCount) -> PageIndex {
    PageIndex(rawValue + UInt64(count.rawValue))
  }
}

/// A number of 4 KiB pages.
public struct PageCount: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number of pages.
  public let rawValue: UInt32

  /// Wraps a count.
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Wraps a count.
  @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// Orders counts.
  @inlinable public static func < (left: Self, right: Self) -> Bool {
    left.rawValue < right.rawValue
  }

  /// The bytes that this many pages hold.
  @inlinable public var byteCount: Int { Int(rawValue) * Limits.pageByteCount }
}

/// The number of a segment, from 0, in the order of the device.
public struct SegmentIndex: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number of the segment.
  public let rawValue: UInt32

  /// Wraps a segment number.
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Wraps a segment number.
  @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// Orders segments by their place on the device.
  @inlinable public static func < (left: Self, right: Self) -> Bool {
    left.rawValue < right.rawValue
  }

  /// "No segment": the predecessor of the first segment of a stream.
  public static let none = SegmentIndex(UInt32.max)
}

/// How often a segment has been put to use: it salts every checksum in the segment, so that what
/// an earlier use left behind never passes for the present one.
public struct Generation: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number of uses; 0 is "never used".
  public let rawValue: UInt32

  /// Wraps a generation.
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Wraps a generation.
  @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// Orders generations of one segment by time.
  @inlinable public static func < (left: Self, right: Self) -> Bool {
    left.rawValue < right.rawValue
  }
}

/// The place of a record in the store's one global order of writes.
public struct SequenceNumber: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number; the first write has 1, and 0 means "before every write".
  public let rawValue: UInt64

  /// Wraps a sequence number.
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Wraps a sequence number.
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// Orders writes.
  @inlinable public static func < (left: Self, right: Self) -> Bool {
    left.rawValue < right.rawValue
  }

  /// Before every write.
  public static let zero = SequenceNumber(0)
}
