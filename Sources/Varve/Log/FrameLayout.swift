import VarveFormat

/// Where records go in a frame: pure arithmetic, so that a batch can be tried before it is placed.
///
/// Invariants: extents lie one behind the other; an extent of one page holds as many records as
/// fit; a record that fits no page has an extent of its own.
struct FrameLayout: Hashable {
  /// Where one record goes.
  struct Placement: Hashable {
    /// The first page of its extent, counted from the frame's first.
    var extentPage: Int
    /// Bytes from the start of the extent.
    var byteOffset: Int
    /// Pages of the extent.
    var extentPageCount: Int
    /// Whether the record is the first of the extent.
    var opensExtent: Bool
  }

  /// Pages in use.
  private(set) var pageCount = 0
  private var extentPage = 0
  private var cursor = 0

  /// Takes the place for the next record.
  mutating func place(_ recordByteCount: Int) -> Placement {
    if pageCount > 0, extentPage == pageCount - 1,
      cursor + recordByteCount <= Limits.pageByteCount
    {
      defer { cursor += recordByteCount }
      return Placement(
        extentPage: extentPage, byteOffset: cursor, extentPageCount: 1, opensExtent: false)
    }
    let start =
      pageCount == 0 ? FrameHeader.payloadByteOffset : FrameHeader.continuationPayloadByteOffset
    let pages = (start + recordByteCount + Limits.pageByteCount - 1) / Limits.pageByteCount
    extentPage = pageCount
    pageCount += pages
    cursor = start + recordByteCount
    return Placement(
      extentPage: extentPage, byteOffset: start, extentPageCount: pages, opensExtent: true)
  }

  /// Makes an empty frame take its one page, as a watermark frame does.
  mutating func takeHeaderPage() {
    if pageCount == 0 {
      pageCount = 1
      cursor = FrameHeader.payloadByteOffset
    }
  }

  /// Bytes from the frame's start to the end of the last record: what follows is padding.
  var endByteOffset: Int { extentPage * Limits.pageByteCount + cursor }
}
