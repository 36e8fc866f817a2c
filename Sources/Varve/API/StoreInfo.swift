/// What a store says of itself, read from its superblock and segment table without a lock: also of
/// a damaged store, and of one in use (then it may be stale).
public struct StoreInfo: Hashable, Sendable {
  /// The identity, as hexadecimal text.
  public var uuid = ""
  /// The label.
  public var label = ""
  /// The version of the format.
  public var formatVersion = 0
  /// The byte count of the store, as its superblock records it.
  public var deviceByteCount: UInt64 = 0
  /// The byte count of what lies at the path now: another where the file was cut short or grown.
  public var presentByteCount: UInt64 = 0
  /// The byte count to which the store can grow with what lies at the path now; 0 where that is no
  /// larger than the store. See `Store.grow(toByteCount:progress:)`.
  public var growableByteCount: UInt64 = 0
  /// The most bytes that the store can grow to.
  public var maximumByteCount: UInt64 = 0
  /// The byte count of a segment.
  public var segmentByteCount = 0
  /// Segments in all.
  public var segmentCount = 0
  /// Segments that hold nothing.
  public var freeSegmentCount = 0
  /// Segments that are being filled.
  public var openSegmentCount = 0
  /// Segments that are complete.
  public var sealedSegmentCount = 0
  /// The longest value.
  public var maximumValueByteCount = 0
  /// Whether the store was closed.
  public var wasClosedCleanly = false
  /// The last sequence number, where it was closed cleanly.
  public var lastSequence: UInt64 = 0
  /// How often the store was opened for writing.
  public var openCount: UInt64 = 0
  /// When it was formatted, in milliseconds since 1970.
  public var createdMilliseconds: UInt64 = 0
  /// The stored mark of the store's own clock, in milliseconds since 1970: the next open begins no
  /// earlier.
  public var clockMilliseconds: UInt64 = 0
  /// Whether records with an expiry may ever have been written.
  public var hasExpiries = false
  /// Whether the wall clock is so far ahead of the mark that an open with the default options would
  /// not believe it, unless the log of a store that was not closed knows a later time. Never while
  /// a writer has the store: its clock runs.
  public var isClockHeld = false
  /// Whether a checkpoint is named.
  public var hasCheckpoint = false
  /// Valid copies of the superblock, of 4.
  public var validSuperblockCount = 0
  /// Whether another process holds the store, so that all this may be stale.
  public var isLive = false
  /// The holder's process, where it can be known.
  public var holderProcessID: Int32?
  /// Whether the holder only reads: others may read too, and a writer has to wait.
  public var isHolderReading = false
  /// What is wrong with what was read, in words that name structures; empty while the store is
  /// live, when a superblock may be met half updated.
  public var findings: [String] = []

  /// Makes an empty description.
  public init() {}
}
