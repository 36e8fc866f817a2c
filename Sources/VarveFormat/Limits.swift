/// Every bound of the format, each with its reason. Relations between them are tested.
public enum Limits {
  /// A page: the unit of direct I/O, the physical sector of the devices this is for.
  public static let pageByteCount = 4096
  /// A sector: what a device writes without tearing.
  public static let sectorByteCount = 512
  /// The longest key: a page holds it together with its headers only as an extent of two pages,
  /// and a 16-bit field holds its length.
  public static let maximumKeyByteCount = 4096
  /// The longest value, so that one record needs a bounded buffer.
  public static let maximumValueByteCount = 16 << 20
  /// The most operations in one batch.
  public static let maximumBatchOperationCount = 65_536
  /// The most bytes (keys and values) in one batch: a batch is one frame and one buffer.
  public static let maximumBatchByteCount = 8 << 20
  /// The smallest device: the smallest segment times the least number of segments, with room for
  /// the superblocks and tables.
  public static let minimumDeviceByteCount: UInt64 = 2 << 20
  /// The smallest segment: header, two summaries and a few pages of frames.
  public static let minimumSegmentByteCount = 32 << 10
  /// The largest segment: reclaiming one is bounded work.
  public static let maximumSegmentByteCount = 64 << 20
  /// Fewer segments leave no room for a reserve.
  public static let minimumSegmentCount = 32
  /// Page addresses have 40 bits.
  public static let maximumPageCount: UInt64 = 1 << 40
  /// The most pages of one extent: what the length hint of a record's location can name, and more
  /// than the longest record takes.
  public static let maximumExtentPageCount = 128 + 128 * 32
  /// The most pages of a segment, and so of a frame.
  public static let maximumSegmentPageCount = maximumSegmentByteCount / pageByteCount
  /// No sequence number, version or identifier on the medium is above this: whoever counts on from
  /// a number that was read cannot overflow. A million writes a second take 146,000 years.
  public static let maximumCounter: UInt64 = 1 << 62
  /// No generation on the medium is above this, and no number of opens, for the same reason.
  public static let maximumGeneration = UInt32.max - 1
  /// LZ4 expands no byte of input into more than 255 of output.
  public static let maximumExpansion = 255
}
