// The superblock: who the store is, how it is laid out and how it was last left. Four copies, two
// at each end. An update writes copies 0 and 2, flushes, writes copies 1 and 3, flushes: whatever a
// crash leaves, two copies of one version are whole. At open the newest valid copy wins.

/// How the store was last left.
public enum ShutdownState: UInt8, Hashable, Sendable {
  /// Open for writing, or not closed since.
  case open = 1
  /// Closed: everything acknowledged is durable, and `lastFrame…` name the end of the log.
  case clean = 2
}

/// Where recovery ended the log. From there on only frames of later opens count, so that leftovers
/// behind a torn frame never come back.
public struct LogCut: Hashable, Sendable {
  /// The segment in which the log went on.
  public var segment: SegmentIndex
  /// Its generation.
  public var generation: Generation
  /// Pages of the segment that count: header and frames.
  public var pageCount: PageCount
  /// The first open whose frames count behind the cut.
  public var openEpoch: UInt32

  /// Describes a cut.
  public init(
    segment: SegmentIndex, generation: Generation, pageCount: PageCount, openEpoch: UInt32
  ) {
    self.segment = segment
    self.generation = generation
    self.pageCount = pageCount
    self.openEpoch = openEpoch
  }
}

/// The contents of a superblock.
public struct Superblock: Hashable, Sendable {
  /// The version of the format that this library writes.
  public static let formatVersion: UInt16 = 1

  /// The identity of the store.
  public var uuid: StoreUUID
  /// Counts updates; the highest valid one wins.
  public var version: UInt64
  /// What the store uses beyond format version 1.
  public var features: FeatureFlags
  /// Where everything lies.
  public var geometry: Geometry
  /// The secret of the key hash, against hash flooding.
  public var hashKeyLow: UInt64
  /// The secret of the key hash, against hash flooding.
  public var hashKeyHigh: UInt64
  /// How the store was last left.
  public var shutdown: ShutdownState
  /// No sequence number above this one has been used.
  public var sequenceCeiling: SequenceNumber
  /// The last sequence number used, where shut down cleanly.
  public var lastSequence: SequenceNumber
  /// The first page of the last frame of the user stream, where shut down cleanly; 0 if none.
  public var lastFramePage: PageIndex
  /// The checksum of that frame.
  public var lastFrameChecksum: UInt32
  /// The TTL clock's high-water mark, in milliseconds since 1970: no record was treated as expired
  /// at a later time.
  public var clockMilliseconds: UInt64
  /// Whether a record with an expiry may ever have been written. Until then nothing depends on the
  /// TTL clock.
  public var hasExpiries: Bool
  /// When the store was formatted, in milliseconds since 1970.
  public var createdMilliseconds: UInt64
  /// How often the store was opened for writing.
  public var openCount: UInt64
  /// The newest complete checkpoint.
  public var checkpoint: CheckpointReference?
  /// The complete checkpoint before it, while its segments are kept.
  public var previousCheckpoint: CheckpointReference?
  /// Where the last recovery cut the log: frames behind it from earlier opens are void.
  public var cut: LogCut?
  /// A name for people, at most 64 bytes of UTF-8.
  public var label: String

  /// Describes a fresh store.
  public init(
    uuid: StoreUUID, geometry: Geometry, hashKeyLow: UInt64, hashKeyHigh: UInt64, label: String,
    createdMilliseconds: UInt64
  ) {
    self.uuid = uuid
    version = 1
    features = FeatureFlags()
    self.geometry = geometry
    self.hashKeyLow = hashKeyLow
    self.hashKeyHigh = hashKeyHigh
    shutdown = .clean
    sequenceCeiling = .zero
    lastSequence = .zero
    lastFramePage = PageIndex(0)
    lastFrameChecksum = 0
    clockMilliseconds = min(createdMilliseconds, Limits.maximumCounter)
    hasExpiries = false
    self.createdMilliseconds = createdMilliseconds
    openCount = 0
    checkpoint = nil
    previousCheckpoint = nil
    cut = nil
    self.label = label
  }

  /// Copies on a device.
  public static let copyCount = 4
  /// The longest label, in bytes of UTF-8.
  public static let maximumLabelByteCount = 64
}
