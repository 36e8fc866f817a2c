/// One segment of a store: what the segment table says of it, and what is known of its records.
public struct SegmentInfo: Hashable, Sendable {
  /// What a segment is.
  public enum State: String, Hashable, Sendable, CaseIterable {
    /// It holds nothing that counts.
    case free
    /// It is being filled, or was made ready for that.
    case open
    /// It is complete.
    case sealed
  }

  /// Whose records a segment holds.
  public enum Stream: String, Hashable, Sendable, CaseIterable {
    /// The writes of users, in their order.
    case user
    /// Records that compaction moved, the youngest.
    case relocation1
    /// Records that compaction moved, older.
    case relocation2
    /// Records that compaction moved, older still.
    case relocation3
    /// Records that compaction moved, the oldest.
    case relocation4
    /// A checkpoint of the index.
    case checkpoint
  }

  /// Its place among the segments of the device, from 0.
  public var index = 0
  /// What it is.
  public var state = State.free
  /// Whose records it holds; nil for a free one.
  public var stream: Stream?
  /// How often it has been put to use.
  public var generation: UInt32 = 0
  /// The bytes of a segment.
  public var byteCount = 0
  /// The bytes of its header and frames, or pages of a checkpoint; nil where that is not known.
  public var usedByteCount: Int?
  /// The records that were written to it, tombstones included; nil where that is not known.
  public var recordCount: Int?
  /// The records in it that the index names, tombstones aside; nil where nobody has counted them,
  /// and for what holds no records.
  public var liveRecordCount: Int?
  /// The tombstones in it that the index names; nil as above.
  public var liveTombstoneCount: Int?
  /// The bytes of it that the records take which the index names, tombstones included: what each
  /// needs of a page, and in a segment that compaction filled what could not be filled as well. nil
  /// as above.
  public var liveByteCount: Int?
  /// Its age: how many segments of the users' log were begun after it. nil for other streams, and
  /// where that is not known.
  public var newerSegmentCount: Int?
  /// The lowest sequence number in it; nil where that is not known.
  public var firstSequence: UInt64?
  /// The highest sequence number in it; nil where that is not known.
  public var lastSequence: UInt64?

  /// Makes the description of a free segment.
  public init() {}

  /// The share of the segment, from 0 to 1, that what is live in it takes; nil where nobody has
  /// counted that. The rest is what compaction could win.
  public var liveShare: Double? {
    guard state != .free else { return 0 }
    guard byteCount > 0 else { return nil }
    let usedShare = min(1, Double(usedByteCount ?? byteCount) / Double(byteCount))
    guard stream != .checkpoint else { return usedShare }
    return liveByteCount.map { min(usedShare, Double($0) / Double(byteCount)) }
  }
}
