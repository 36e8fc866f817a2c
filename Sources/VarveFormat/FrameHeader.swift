/// The start of a frame: one group commit, a run of whole pages written by one request. It follows
/// the page header of the frame's first extent.
public struct FrameHeader: Hashable, Sendable {
  /// The lowest sequence number in the frame; 0 in a frame without records.
  public var firstSequence: SequenceNumber
  /// The highest sequence number in the frame; 0 in a frame without records.
  public var lastSequence: SequenceNumber
  /// The highest sequence number known to be flushed when this frame was submitted.
  public var durableWatermark: SequenceNumber
  /// The number of the frame in its segment, from 0.
  public var ordinal: UInt32
  /// Pages of the frame, all extents together.
  public var pageCount: PageCount
  /// Records of the frame, all extents together.
  public var recordCount: UInt32
  /// The checksum of the frame before it, or of the segment header.
  public var previousChecksum: UInt32
  /// CRC32C of the checksums of the further extents, in order; 0 where there are none.
  public var extentsChecksum: UInt32
  /// The stream.
  public var stream: StreamKind
  /// The TTL clock when this was written, in milliseconds since 1970.
  public var clockMilliseconds: UInt64
  /// The number of the open that wrote the frame: after a cut, older frames behind it are void.
  public var openEpoch: UInt32

  /// Describes a frame.
  public init(
    firstSequence: SequenceNumber, lastSequence: SequenceNumber, durableWatermark: SequenceNumber,
    ordinal: UInt32, pageCount: PageCount, recordCount: UInt32, previousChecksum: UInt32,
    extentsChecksum: UInt32, stream: StreamKind, clockMilliseconds: UInt64, openEpoch: UInt32
  ) {
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.durableWatermark = durableWatermark
    self.ordinal = ordinal
    self.pageCount = pageCount
    self.recordCount = recordCount
    self.previousChecksum = previousChecksum
    self.extentsChecksum = extentsChecksum
    self.stream = stream
    self.clockMilliseconds = clockMilliseconds
    self.openEpoch = openEpoch
  }

  enum Field {
    static let firstSequence = FieldLayout("firstSequence", 32, 8)
    static let lastSequence = FieldLayout("lastSequence", 40, 8)
    static let durableWatermark = FieldLayout("durableWatermark", 48, 8)
    static let ordinal = FieldLayout("ordinal", 56, 4)
    static let pageCount = FieldLayout("pageCount", 60, 4)
    static let recordCount = FieldLayout("recordCount", 64, 4)
    static let previousChecksum = FieldLayout("previousChecksum", 68, 4)
    static let extentsChecksum = FieldLayout("extentsChecksum", 72, 4)
    static let stream = FieldLayout("stream", 76, 1)
    static let reserved = FieldLayout("reserved", 77, 3)
    static let clockMilliseconds = FieldLayout("clockMilliseconds", 80, 8)
    static let openEpoch = FieldLayout("openEpoch", 88, 4)
    static let fencingEpoch = FieldLayout("fencingEpoch", 92, 4)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [
    Field.firstSequence, Field.lastSequence, Field.durableWatermark, Field.ordinal,
    Field.pageCount, Field.recordCount, Field.previousChecksum, Field.extentsChecksum,
    Field.stream, Field.reserved, Field.clockMilliseconds, Field.openEpoch, Field.fencingEpoch,
  ]

  /// Where the first record of a frame's first extent begins.
  public static let payloadByteOffset = 96

  /// Where the first record of a further extent begins.
  public static let continuationPayloadByteOffset = PageHeader.byteCount

  /// Where records begin in an extent of the given kind.
  public static func payloadByteOffset(in kind: PageKind) -> Int {
    kind == .frameStart ? payloadByteOffset : continuationPayloadByteOffset
  }

  /// Writes the header into the frame's first extent; the caller seals the extent.
  public func encode(into extent: inout MutableRawSpan) {
    extent.store(firstSequence.rawValue, Field.firstSequence.byteOffset)
    extent.store(lastSequence.rawValue, Field.lastSequence.byteOffset)
    extent.store(durableWatermark.rawValue, Field.durableWatermark.byteOffset)
    extent.store(ordinal, Field.ordinal.byteOffset)
    extent.store(pageCount.rawValue, Field.pageCount.byteOffset)
    extent.store(recordCount, Field.recordCount.byteOffset)
    extent.store(previousChecksum, Field.previousChecksum.byteOffset)
    extent.store(extentsChecksum, Field.extentsChecksum.byteOffset)
    extent.store(stream.rawValue, Field.stream.byteOffset)
    extent.zero(Field.reserved.byteOffset..<Field.reserved.end)
    extent.store(clockMilliseconds, Field.clockMilliseconds.byteOffset)
    extent.store(openEpoch, Field.openEpoch.byteOffset)
    extent.store(0 as UInt32, Field.fencingEpoch.byteOffset)
  }

  /// Reads the header from a verified first extent.
  public init(decoding extent: RawSpan) throws(FormatError) {
    try extent.requireZero(Field.reserved)
    try extent.requireZero(Field.fencingEpoch)
    self.init(
      firstSequence: try extent.sequence(Field.firstSequence),
      lastSequence: try extent.sequence(Field.lastSequence),
      durableWatermark: try extent.sequence(Field.durableWatermark),
      ordinal: extent.load(Field.ordinal.byteOffset),
      pageCount: try extent.pageCount(Field.pageCount),
      recordCount: extent.load(Field.recordCount.byteOffset),
      previousChecksum: extent.load(Field.previousChecksum.byteOffset),
      extentsChecksum: extent.load(Field.extentsChecksum.byteOffset),
      stream: try extent.stream(Field.stream),
      clockMilliseconds: try extent.counter(Field.clockMilliseconds),
      openEpoch: extent.load(Field.openEpoch.byteOffset))
    guard firstSequence <= lastSequence, pageCount.rawValue >= 1,
      (recordCount == 0) == (lastSequence == .zero),
      (recordCount == 0) == (firstSequence == .zero)
    else { throw .malformed("frame header") }
  }
}
