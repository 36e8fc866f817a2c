/// What a record does to its key.
public enum RecordKind: UInt8, Hashable, Sendable {
  /// Sets the value.
  case put = 1
  /// Removes the key.
  case tombstone = 2
}

/// One record in an extent: a header, optional fields, the key, the value, and zeros up to a
/// multiple of 16 bytes. A record of up to a page lies within one page; a larger one has an extent
/// of its own. Either way one read fetches it, and the extent's checksum verifies it.
public struct RecordHeader: Hashable, Sendable {
  /// The record's place in the store's order of writes.
  public var sequence: SequenceNumber
  /// What the record does.
  public var kind: RecordKind
  /// Whether the value is an LZ4 block.
  public var isCompressed: Bool
  /// Bytes of the key.
  public var keyByteCount: Int
  /// Bytes of the value as stored.
  public var storedByteCount: Int
  /// Bytes of the value as the user gave it.
  public var valueByteCount: Int
  /// The keyspace; 0 is the default one.
  public var keyspace: UInt16
  /// When the record expires, in milliseconds since 1970; 0 is never.
  public var expiryMilliseconds: UInt64
  /// Records of the batch that this one belongs to; 0 where it belongs to none.
  public var batchRecordCount: UInt32
  /// The place in the batch, from 0.
  public var batchOrdinal: UInt32

  /// Describes a record.
  public init(
    sequence: SequenceNumber, kind: RecordKind, isCompressed: Bool = false, keyByteCount: Int,
    storedByteCount: Int, valueByteCount: Int, keyspace: UInt16 = 0,
    expiryMilliseconds: UInt64 = 0, batchRecordCount: UInt32 = 0, batchOrdinal: UInt32 = 0
  ) {
    self.sequence = sequence
    self.kind = kind
    self.isCompressed = isCompressed
    self.keyByteCount = keyByteCount
    self.storedByteCount = storedByteCount
    self.valueByteCount = valueByteCount
    self.keyspace = keyspace
    self.expiryMilliseconds = expiryMilliseconds
    self.batchRecordCount = batchRecordCount
    self.batchOrdinal = batchOrdinal
  }

  enum Field {
    static let sequence = FieldLayout("sequence", 0, 8)
    static let storedByteCount = FieldLayout("storedByteCount", 8, 4)
    static let valueByteCount = FieldLayout("valueByteCount", 12, 4)
    static let keyByteCount = FieldLayout("keyByteCount", 16, 2)
    static let kind = FieldLayout("kind", 18, 1)
    static let flags = FieldLayout("flags", 19, 1)
    static let keyspace = FieldLayout("keyspace", 20, 2)
    static let reserved = FieldLayout("reserved", 22, 2)
  }

  enum OptionalField {
    static let batchRecordCount = FieldLayout("batchRecordCount", 0, 4)
    static let batchOrdinal = FieldLayout("batchOrdinal", 4, 4)
    static let expiryMilliseconds = FieldLayout("expiryMilliseconds", 0, 8)
  }

  /// The layout, for FORMAT.md. After it come, where the flags say so, the batch fields and then
  /// the expiry field.
  public static let layout = [
    Field.sequence, Field.storedByteCount, Field.valueByteCount, Field.keyByteCount, Field.kind,
    Field.flags, Field.keyspace, Field.reserved,
  ]

  /// The batch fields, from their own start.
  public static let batchLayout = [OptionalField.batchRecordCount, OptionalField.batchOrdinal]
  /// The expiry field, from its own start.
  public static let expiryLayout = [OptionalField.expiryMilliseconds]

  static let fixedByteCount = 24
  static let compressedFlag: UInt8 = 1
  static let expiryFlag: UInt8 = 2
  static let batchFlag: UInt8 = 4

  /// Records begin at multiples of this.
  public static let alignment = 16
  /// The longest header.
  public static let maximumByteCount = fixedByteCount + 16

  /// Bytes of the header with its optional fields.
  public var headerByteCount: Int {
    RecordHeader.fixedByteCount + (batchRecordCount > 0 ? 8 : 0) + (expiryMilliseconds > 0 ? 8 : 0)
  }

  /// Bytes of the whole record, padding included.
  public var recordByteCount: Int {
    (headerByteCount + keyByteCount + storedByteCount + RecordHeader.alignment - 1)
      & ~(RecordHeader.alignment - 1)
  }

  /// Writes the header, key and stored value at `byteOffset`; the padding is zero already.
  public func encode(
    key: RawSpan, storedValue: RawSpan, into bytes: inout MutableRawSpan, at byteOffset: Int
  ) {
    var flags: UInt8 = 0
    if isCompressed { flags |= RecordHeader.compressedFlag }
    if expiryMilliseconds > 0 { flags |= RecordHeader.expiryFlag }
    if batchRecordCount > 0 { flags |= RecordHeader.batchFlag }
    bytes.store(sequence.rawValue, byteOffset + Field.sequence.byteOffset)
    bytes.store(UInt32(storedByteCount), byteOffset + Field.storedByteCount.byteOffset)
    bytes.store(UInt32(valueByteCount), byteOffset + Field.valueByteCount.byteOffset)
    bytes.store(UInt16(keyByteCount), byteOffset + Field.keyByteCount.byteOffset)
    bytes.store(kind.rawValue, byteOffset + Field.kind.byteOffset)
    bytes.store(flags, byteOffset + Field.flags.byteOffset)
    bytes.store(keyspace, byteOffset + Field.keyspace.byteOffset)
    bytes.store(0 as UInt16, byteOffset + Field.reserved.byteOffset)
    var cursor = byteOffset + RecordHeader.fixedByteCount
    if batchRecordCount > 0 {
      bytes.store(batchRecordCount, cursor)
      bytes.store(batchOrdinal, cursor + 4)
      cursor += 8
    }
    if expiryMilliseconds > 0 {
      bytes.store(expiryMilliseconds, cursor)
      cursor += 8
    }
    bytes.copy(key, to: cursor)
    bytes.copy(storedValue, to: cursor + keyByteCount)
  }

  /// Reads the header at `byteOffset` of a verified extent, every number checked against it.
  public init(decoding extent: RawSpan, at byteOffset: Int) throws(FormatError) {
    guard byteOffset >= 0, byteOffset % RecordHeader.alignment == 0,
      byteOffset <= extent.byteCount - RecordHeader.fixedByteCount
    else { throw .malformed("record offset") }
    guard let kind = RecordKind(rawValue: extent.load(byteOffset + Field.kind.byteOffset)) else {
      throw .malformed("record kind")
    }
    let flags: UInt8 = extent.load(byteOffset + Field.flags.byteOffset)
    guard
      flags & ~(RecordHeader.compressedFlag | RecordHeader.expiryFlag | RecordHeader.batchFlag)
        == 0, extent.load(byteOffset + Field.reserved.byteOffset, as: UInt16.self) == 0
    else { throw .malformed("record flags") }
    var cursor = byteOffset + RecordHeader.fixedByteCount
    let optional =
      (flags & RecordHeader.batchFlag != 0 ? 8 : 0) + (flags & RecordHeader.expiryFlag != 0 ? 8 : 0)
    guard cursor + optional <= extent.byteCount else { throw .malformed("record header") }
    self.init(
      sequence: try extent.sequence(Field.sequence, at: byteOffset), kind: kind,
      isCompressed: flags & RecordHeader.compressedFlag != 0,
      keyByteCount: Int(extent.load(byteOffset + Field.keyByteCount.byteOffset, as: UInt16.self)),
      storedByteCount: Int(
        extent.load(byteOffset + Field.storedByteCount.byteOffset, as: UInt32.self)),
      valueByteCount: Int(
        extent.load(byteOffset + Field.valueByteCount.byteOffset, as: UInt32.self)),
      keyspace: extent.load(byteOffset + Field.keyspace.byteOffset))
    if flags & RecordHeader.batchFlag != 0 {
      batchRecordCount = extent.load(cursor)
      batchOrdinal = extent.load(cursor + 4)
      guard batchOrdinal < batchRecordCount,
        batchRecordCount <= UInt32(Limits.maximumBatchOperationCount)
      else { throw .malformed("batch ordinal") }
      cursor += 8
    }
    if flags & RecordHeader.expiryFlag != 0 {
      expiryMilliseconds = extent.load(cursor)
      guard expiryMilliseconds > 0 else { throw .malformed("expiry") }
    }
    try validate(available: extent.byteCount - byteOffset)
  }

  private func validate(available: Int) throws(FormatError) {
    guard sequence != .zero else { throw .malformed("sequence") }
    guard keyByteCount >= 1, keyByteCount <= Limits.maximumKeyByteCount else {
      throw .malformed("key byte count")
    }
    guard valueByteCount <= Limits.maximumValueByteCount, storedByteCount <= valueByteCount else {
      throw .malformed("value byte count")
    }
    let (bound, overflow) = storedByteCount.multipliedReportingOverflow(by: Limits.maximumExpansion)
    let isPlausible =
      isCompressed
      ? !overflow && valueByteCount <= bound && storedByteCount < valueByteCount
      : storedByteCount == valueByteCount
    guard isPlausible else { throw .malformed("compressed byte count") }
    guard kind == .put || valueByteCount == 0 else { throw .malformed("tombstone with a value") }
    guard recordByteCount <= available else { throw .malformed("record byte count") }
  }

  /// Where the key lies, for a header read at `byteOffset`.
  public func keyRange(at byteOffset: Int) -> Range<Int> {
    let start = byteOffset + headerByteCount
    return start..<start + keyByteCount
  }

  /// Where the stored value lies, for a header read at `byteOffset`.
  public func valueRange(at byteOffset: Int) -> Range<Int> {
    let start = byteOffset + headerByteCount + keyByteCount
    return start..<start + storedByteCount
  }
}
