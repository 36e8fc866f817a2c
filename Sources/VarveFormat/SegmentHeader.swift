/// The first page of a segment, written together with its first frame. The frame chain starts
/// here: the first frame carries this page's checksum.
public struct SegmentHeader: Hashable, Sendable {
  /// The stream that the segment belongs to.
  public var stream: StreamKind
  /// The segment before it in the stream, or none.
  public var predecessor: SegmentIndex
  /// The generation of the predecessor.
  public var predecessorGeneration: Generation
  /// Pages of the predecessor that hold its header and frames.
  public var predecessorEndPageCount: PageCount
  /// The checksum of the predecessor's last frame.
  public var predecessorFrameChecksum: UInt32
  /// No record of the segment has a lower sequence number (user stream).
  public var firstSequence: SequenceNumber
  /// The durable watermark when the header was written.
  public var durableWatermark: SequenceNumber
  /// The TTL clock when this was written, in milliseconds since 1970.
  public var clockMilliseconds: UInt64
  /// The number of the open that wrote the header.
  public var openEpoch: UInt32

  /// Describes a segment.
  public init(
    stream: StreamKind, predecessor: SegmentIndex, predecessorGeneration: Generation,
    predecessorEndPageCount: PageCount, predecessorFrameChecksum: UInt32,
    firstSequence: SequenceNumber, durableWatermark: SequenceNumber, clockMilliseconds: UInt64,
    openEpoch: UInt32
  ) {
    self.stream = stream
    self.predecessor = predecessor
    self.predecessorGeneration = predecessorGeneration
    self.predecessorEndPageCount = predecessorEndPageCount
    self.predecessorFrameChecksum = predecessorFrameChecksum
    self.firstSequence = firstSequence
    self.durableWatermark = durableWatermark
    self.clockMilliseconds = clockMilliseconds
    self.openEpoch = openEpoch
  }

  enum Field {
    static let magic = FieldLayout("magic", 32, 8)
    static let stream = FieldLayout("stream", 40, 1)
    static let reserved = FieldLayout("reserved", 41, 3)
    static let predecessor = FieldLayout("predecessor", 44, 4)
    static let predecessorGeneration = FieldLayout("predecessorGeneration", 48, 4)
    static let predecessorEndPageCount = FieldLayout("predecessorEndPageCount", 52, 4)
    static let predecessorFrameChecksum = FieldLayout("predecessorFrameChecksum", 56, 4)
    static let encryptionKeyID = FieldLayout("encryptionKeyID", 60, 4)
    static let firstSequence = FieldLayout("firstSequence", 64, 8)
    static let durableWatermark = FieldLayout("durableWatermark", 72, 8)
    static let clockMilliseconds = FieldLayout("clockMilliseconds", 80, 8)
    static let openEpoch = FieldLayout("openEpoch", 88, 4)
    static let fencingEpoch = FieldLayout("fencingEpoch", 92, 4)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [
    Field.magic, Field.stream, Field.reserved, Field.predecessor, Field.predecessorGeneration,
    Field.predecessorEndPageCount, Field.predecessorFrameChecksum, Field.encryptionKeyID,
    Field.firstSequence, Field.durableWatermark, Field.clockMilliseconds, Field.openEpoch,
    Field.fencingEpoch,
  ]

  static let magic: UInt64 = 0x0047_4553_5652_4156  // "VARVSEG\0"
  static let byteCount = 96

  /// Writes the body into a zeroed page; the caller seals the page.
  public func encode(into page: inout MutableRawSpan) {
    page.store(SegmentHeader.magic, Field.magic.byteOffset)
    page.store(stream.rawValue, Field.stream.byteOffset)
    page.store(predecessor.rawValue, Field.predecessor.byteOffset)
    page.store(predecessorGeneration.rawValue, Field.predecessorGeneration.byteOffset)
    page.store(predecessorEndPageCount.rawValue, Field.predecessorEndPageCount.byteOffset)
    page.store(predecessorFrameChecksum, Field.predecessorFrameChecksum.byteOffset)
    page.store(firstSequence.rawValue, Field.firstSequence.byteOffset)
    page.store(durableWatermark.rawValue, Field.durableWatermark.byteOffset)
    page.store(clockMilliseconds, Field.clockMilliseconds.byteOffset)
    page.store(openEpoch, Field.openEpoch.byteOffset)
  }

  /// Reads the body of a verified page.
  public init(decoding page: RawSpan) throws(FormatError) {
    guard page.load(Field.magic.byteOffset, as: UInt64.self) == SegmentHeader.magic else {
      throw .notThisStructure
    }
    for field in [Field.reserved, Field.encryptionKeyID, Field.fencingEpoch] {
      try page.requireZero(field)
    }
    guard page.extracting(SegmentHeader.byteCount..<Limits.pageByteCount).isAllZero else {
      throw .malformed("reserved bytes of the segment header")
    }
    self.init(
      stream: try page.stream(Field.stream),
      predecessor: SegmentIndex(page.load(Field.predecessor.byteOffset)),
      predecessorGeneration: try page.generation(Field.predecessorGeneration),
      predecessorEndPageCount: try page.pageCount(Field.predecessorEndPageCount),
      predecessorFrameChecksum: page.load(Field.predecessorFrameChecksum.byteOffset),
      firstSequence: try page.sequence(Field.firstSequence),
      durableWatermark: try page.sequence(Field.durableWatermark),
      clockMilliseconds: try page.counter(Field.clockMilliseconds),
      openEpoch: page.load(Field.openEpoch.byteOffset))
  }
}
