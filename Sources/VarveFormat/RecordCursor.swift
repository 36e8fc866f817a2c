/// Walks the records of one verified extent.
public struct RecordCursor: Sendable {
  private var byteOffset: Int
  private var remaining: Int

  /// Begins at the first record of an extent.
  public init(payloadByteOffset: Int, recordCount: Int) {
    byteOffset = payloadByteOffset
    remaining = recordCount
  }

  /// A record and its place in the extent.
  public struct Found: Hashable, Sendable {
    /// The header.
    public let header: RecordHeader
    /// Bytes from the start of the extent.
    public let byteOffset: Int

    /// The record as a summary names it.
    public func summaryEntry(
      in extent: RawSpan, page: PageIndex, pageCount: PageCount, hashKey: HashKey
    ) -> SummaryEntry {
      SummaryEntry(
        hash: KeyHash(
          of: extent.extracting(header.keyRange(at: byteOffset)), keyedBy: hashKey),
        sequence: header.sequence,
        location: RecordLocation(
          page: page, slot: UInt8(truncatingIfNeeded: byteOffset / RecordHeader.alignment),
          pageCount: pageCount, recordByteCount: header.recordByteCount,
          isTombstone: header.kind == .tombstone, hasExpiry: header.expiryMilliseconds > 0),
        expiryMilliseconds: header.expiryMilliseconds)
    }
  }

  /// The next record, or nil after the last.
  ///
  /// - Throws: `FormatError.malformed` when the extent does not hold what its header says.
  public mutating func next(in extent: RawSpan) throws(FormatError) -> Found? {
    guard remaining > 0 else { return nil }
    let header = try RecordHeader(decoding: extent, at: byteOffset)
    defer {
      byteOffset += header.recordByteCount
      remaining -= 1
    }
    return Found(header: header, byteOffset: byteOffset)
  }
}
