extension Superblock {
  enum Field {
    static let magic = FieldLayout("magic", 0, 8)
    static let checksum = FieldLayout("checksum", 8, 4)
    static let formatVersion = FieldLayout("formatVersion", 12, 2)
    static let copy = FieldLayout("copy", 14, 2)
    static let uuid = FieldLayout("uuid", 16, 16)
    static let version = FieldLayout("version", 32, 8)
    static let compatibleFeatures = FieldLayout("compatibleFeatures", 40, 8)
    static let readOnlyCompatibleFeatures = FieldLayout("readOnlyCompatibleFeatures", 48, 8)
    static let incompatibleFeatures = FieldLayout("incompatibleFeatures", 56, 8)
    static let deviceByteCount = FieldLayout("deviceByteCount", 64, 8)
    static let segmentByteCount = FieldLayout("segmentByteCount", 72, 4)
    static let segmentCount = FieldLayout("segmentCount", 76, 4)
    static let firstSegmentPage = FieldLayout("firstSegmentPage", 80, 8)
    static let tablePageCount = FieldLayout("tablePageCount", 88, 4)
    static let pageByteCount = FieldLayout("pageByteCount", 92, 4)
    static let hashKey = FieldLayout("hashKey", 96, 16)
    static let shutdown = FieldLayout("shutdown", 112, 1)
    static let hasExpiries = FieldLayout("hasExpiries", 113, 1)
    static let reserved = FieldLayout("reserved", 114, 2)
    static let lastFrameChecksum = FieldLayout("lastFrameChecksum", 116, 4)
    static let sequenceCeiling = FieldLayout("sequenceCeiling", 120, 8)
    static let lastSequence = FieldLayout("lastSequence", 128, 8)
    static let lastFramePage = FieldLayout("lastFramePage", 136, 8)
    static let clockMilliseconds = FieldLayout("clockMilliseconds", 144, 8)
    static let createdMilliseconds = FieldLayout("createdMilliseconds", 152, 8)
    static let openCount = FieldLayout("openCount", 160, 8)
    static let checkpoint = FieldLayout("checkpoint", 168, 24)
    static let previousCheckpoint = FieldLayout("previousCheckpoint", 192, 24)
    static let label = FieldLayout("label", 216, 64)
    static let fencingEpoch = FieldLayout("fencingEpoch", 280, 8)
    static let encryptionAlgorithm = FieldLayout("encryptionAlgorithm", 288, 4)
    static let encryptionKeyID = FieldLayout("encryptionKeyID", 292, 4)
    static let encryptionNonceCeiling = FieldLayout("encryptionNonceCeiling", 296, 8)
    static let encryptionKeyCheck = FieldLayout("encryptionKeyCheck", 304, 32)
    static let keyspaceCatalogue = FieldLayout("keyspaceCatalogue", 336, 24)
    static let cutSegment = FieldLayout("cutSegment", 360, 4)
    static let cutGeneration = FieldLayout("cutGeneration", 364, 4)
    static let cutPageCount = FieldLayout("cutPageCount", 368, 4)
    static let cutOpenEpoch = FieldLayout("cutOpenEpoch", 372, 4)
    static let reserved2 = FieldLayout("reserved2", 376, 3720)
  }

  /// The layout, for FORMAT.md.
  public static let layout = [
    Field.magic, Field.checksum, Field.formatVersion, Field.copy, Field.uuid, Field.version,
    Field.compatibleFeatures, Field.readOnlyCompatibleFeatures, Field.incompatibleFeatures,
    Field.deviceByteCount, Field.segmentByteCount, Field.segmentCount, Field.firstSegmentPage,
    Field.tablePageCount, Field.pageByteCount, Field.hashKey, Field.shutdown,
    Field.hasExpiries, Field.reserved, Field.lastFrameChecksum, Field.sequenceCeiling,
    Field.lastSequence,
    Field.lastFramePage,
    Field.clockMilliseconds, Field.createdMilliseconds, Field.openCount, Field.checkpoint,
    Field.previousCheckpoint, Field.label, Field.fencingEpoch, Field.encryptionAlgorithm,
    Field.encryptionKeyID, Field.encryptionNonceCeiling, Field.encryptionKeyCheck,
    Field.keyspaceCatalogue, Field.cutSegment, Field.cutGeneration, Field.cutPageCount,
    Field.cutOpenEpoch, Field.reserved2,
  ]

  /// Fields that no writer of version 1 uses.
  private static let unused = [
    Field.reserved, Field.fencingEpoch, Field.encryptionAlgorithm, Field.encryptionKeyID,
    Field.encryptionNonceCeiling, Field.encryptionKeyCheck, Field.keyspaceCatalogue,
    Field.reserved2,
  ]

  /// "VARVESB\0" as a little-endian word.
  public static let magic: UInt64 = 0x0042_5345_5652_4156

  /// Writes a whole page: copy number `copy` of this superblock.
  public func encode(into page: inout MutableRawSpan, copy: Int) {
    page.zero(0..<Limits.pageByteCount)
    page.store(Superblock.magic, Field.magic.byteOffset)
    page.store(Superblock.formatVersion, Field.formatVersion.byteOffset)
    page.store(UInt16(copy), Field.copy.byteOffset)
    page.store(uuid.low, Field.uuid.byteOffset)
    page.store(uuid.high, Field.uuid.byteOffset + 8)
    page.store(version, Field.version.byteOffset)
    page.store(features.compatible, Field.compatibleFeatures.byteOffset)
    page.store(features.readOnlyCompatible, Field.readOnlyCompatibleFeatures.byteOffset)
    page.store(features.incompatible, Field.incompatibleFeatures.byteOffset)
    page.store(geometry.deviceByteCount, Field.deviceByteCount.byteOffset)
    page.store(UInt32(geometry.segmentByteCount), Field.segmentByteCount.byteOffset)
    page.store(geometry.segmentCount, Field.segmentCount.byteOffset)
    page.store(geometry.firstSegmentPage.rawValue, Field.firstSegmentPage.byteOffset)
    page.store(geometry.tablePageCount.rawValue, Field.tablePageCount.byteOffset)
    page.store(UInt32(Limits.pageByteCount), Field.pageByteCount.byteOffset)
    page.store(hashKeyLow, Field.hashKey.byteOffset)
    page.store(hashKeyHigh, Field.hashKey.byteOffset + 8)
    page.store(shutdown.rawValue, Field.shutdown.byteOffset)
    page.store(UInt8(hasExpiries ? 1 : 0), Field.hasExpiries.byteOffset)
    page.store(lastFrameChecksum, Field.lastFrameChecksum.byteOffset)
    page.store(sequenceCeiling.rawValue, Field.sequenceCeiling.byteOffset)
    page.store(lastSequence.rawValue, Field.lastSequence.byteOffset)
    page.store(lastFramePage.rawValue, Field.lastFramePage.byteOffset)
    page.store(clockMilliseconds, Field.clockMilliseconds.byteOffset)
    page.store(createdMilliseconds, Field.createdMilliseconds.byteOffset)
    page.store(openCount, Field.openCount.byteOffset)
    CheckpointReference.encode(checkpoint, into: &page, at: Field.checkpoint.byteOffset)
    CheckpointReference.encode(
      previousCheckpoint, into: &page, at: Field.previousCheckpoint.byteOffset)
    if let cut {
      page.store(cut.segment.rawValue, Field.cutSegment.byteOffset)
      page.store(cut.generation.rawValue, Field.cutGeneration.byteOffset)
      page.store(cut.pageCount.rawValue, Field.cutPageCount.byteOffset)
      page.store(cut.openEpoch, Field.cutOpenEpoch.byteOffset)
    }
    for (index, byte) in label.utf8.prefix(Superblock.maximumLabelByteCount).enumerated() {
      page.store(byte, Field.label.byteOffset + index)
    }
    let location = geometry.superblockPage(copy: copy)
    let value = Superblock.checksum(of: page.bytes, uuid: uuid, at: location)
    page.store(value, Field.checksum.byteOffset)
  }

  private static func checksum(of page: RawSpan, uuid: StoreUUID, at location: PageIndex) -> UInt32
  {
    Checksum(uuid: uuid).of(
      page.extracting(Field.checksum.end..<Limits.pageByteCount), generation: Generation(0),
      page: location)
  }

  /// Reads and verifies the copy at `location`.
  ///
  /// - Throws: `notThisStructure` where there is no superblock, `newerFormat` where a newer library
  ///   wrote it, `checksum` or `malformed` where it is damaged.
  public init(decoding page: RawSpan, at location: PageIndex) throws(FormatError) {
    guard page.byteCount == Limits.pageByteCount else { throw .malformed("short page") }
    guard page.load(Field.magic.byteOffset, as: UInt64.self) == Superblock.magic else {
      throw page.isAllZero ? .blank : .notThisStructure
    }
    let uuid = StoreUUID(
      low: page.load(Field.uuid.byteOffset), high: page.load(Field.uuid.byteOffset + 8))
    guard
      Superblock.checksum(of: page, uuid: uuid, at: location)
        == page.load(Field.checksum.byteOffset, as: UInt32.self)
    else { throw .checksum }
    let formatVersion: UInt16 = page.load(Field.formatVersion.byteOffset)
    guard formatVersion <= Superblock.formatVersion else { throw .newerFormat }
    guard formatVersion >= 1 else { throw .malformed("format version") }
    let features = FeatureFlags(
      compatible: page.load(Field.compatibleFeatures.byteOffset),
      readOnlyCompatible: page.load(Field.readOnlyCompatibleFeatures.byteOffset),
      incompatible: page.load(Field.incompatibleFeatures.byteOffset))
    guard features.verdict != .refuse else { throw .newerFormat }
    let geometry = try Superblock.geometry(of: page)
    let copy: UInt16 = page.load(Field.copy.byteOffset)
    guard Int(copy) < Superblock.copyCount, geometry.superblockPage(copy: Int(copy)) == location
    else { throw .malformed("copy") }
    // A feature that this library may ignore can have put its fields where zeros were.
    if features == FeatureFlags() { for field in Superblock.unused { try page.requireZero(field) } }
    guard let shutdown = ShutdownState(rawValue: page.load(Field.shutdown.byteOffset)) else {
      throw .malformed("shutdown state")
    }
    self.init(
      uuid: uuid, geometry: geometry, hashKeyLow: page.load(Field.hashKey.byteOffset),
      hashKeyHigh: page.load(Field.hashKey.byteOffset + 8), label: Superblock.label(of: page),
      createdMilliseconds: page.load(Field.createdMilliseconds.byteOffset))
    self.features = features
    self.shutdown = shutdown
    lastFrameChecksum = page.load(Field.lastFrameChecksum.byteOffset)
    lastFramePage = PageIndex(page.load(Field.lastFramePage.byteOffset))
    try decodeCounters(page)
    checkpoint = try CheckpointReference.decode(page, at: Field.checkpoint.byteOffset)
    previousCheckpoint = try CheckpointReference.decode(
      page, at: Field.previousCheckpoint.byteOffset)
    cut = try Superblock.cut(of: page, geometry)
  }

  private mutating func decodeCounters(_ page: RawSpan) throws(FormatError) {
    version = try page.counter(Field.version)
    sequenceCeiling = try page.sequence(Field.sequenceCeiling)
    lastSequence = try page.sequence(Field.lastSequence)
    openCount = try page.counter(Field.openCount)
    clockMilliseconds = try page.counter(Field.clockMilliseconds)
    let expiries: UInt8 = page.load(Field.hasExpiries.byteOffset)
    guard expiries <= 1 else { throw .malformed("hasExpiries") }
    hasExpiries = expiries == 1
    // Frames carry the count in 32 bits.
    guard openCount <= UInt64(Limits.maximumGeneration) else { throw .malformed("openCount") }
    guard lastSequence <= sequenceCeiling else { throw .malformed("sequenceCeiling") }
  }

  private static func cut(
    of page: RawSpan, _ geometry: Geometry
  ) throws(FormatError) -> LogCut? {
    let cut = LogCut(
      segment: SegmentIndex(page.load(Field.cutSegment.byteOffset)),
      generation: try page.generation(Field.cutGeneration),
      pageCount: try page.pageCount(Field.cutPageCount),
      openEpoch: page.load(Field.cutOpenEpoch.byteOffset))
    guard cut.openEpoch > 0 else {
      guard cut.segment.rawValue == 0, cut.generation.rawValue == 0, cut.pageCount.rawValue == 0
      else { throw .malformed("cut") }
      return nil
    }
    guard cut.segment.rawValue < geometry.segmentCount, cut.pageCount <= geometry.segmentPageCount
    else { throw .malformed("cut") }
    return cut
  }

  private static func geometry(of page: RawSpan) throws(FormatError) -> Geometry {
    guard page.load(Field.pageByteCount.byteOffset, as: UInt32.self) == UInt32(Limits.pageByteCount)
    else { throw .malformed("page byte count") }
    let segmentByteCount: UInt32 = page.load(Field.segmentByteCount.byteOffset)
    let geometry = try Geometry(
      deviceByteCount: page.load(Field.deviceByteCount.byteOffset),
      segmentByteCount: Int(segmentByteCount),
      firstSegmentPage: PageIndex(page.load(Field.firstSegmentPage.byteOffset)))
    guard geometry.segmentCount == page.load(Field.segmentCount.byteOffset, as: UInt32.self),
      geometry.tablePageCount.rawValue
        == page.load(Field.tablePageCount.byteOffset, as: UInt32.self)
    else { throw .malformed("geometry") }
    return geometry
  }

  private static func label(of page: RawSpan) -> String {
    var bytes: [UInt8] = []
    for offset in Field.label.byteOffset..<Field.label.end {
      let byte: UInt8 = page.load(offset)
      if byte == 0 { break }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
