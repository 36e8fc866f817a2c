// How a store grows in place. Segments stay where they are, because segment 0 does; the table at
// the head goes on behind its last page, as far as segment 0. What lies at the tail moves to the
// new end.

extension Geometry {
  /// The pages that a superblock, its spacing and a table of so many pages a slot take at one end.
  private static func edgePageCount(tablePageCount: UInt64) -> UInt64 {
    UInt64(superblockSpacing) + 1 + 2 * tablePageCount
  }

  /// The most bytes that the store can have: its table at the head has no room for more segments.
  public var maximumByteCount: UInt64 {
    let tablePages = (firstSegmentPage.rawValue - UInt64(Geometry.superblockSpacing) - 1) / 2
    // The place of segment 0 comes from the medium: no product below exceeds 64 bits.
    let entries = UInt64(SegmentTablePage.entriesPerPage)
    let segmentLimit = min(tablePages, UInt64(UInt32.max) / entries) * entries
    // The table counts whole segments: what is left over does not fill another one.
    let pages = min(
      (segmentLimit + 1) * UInt64(segmentPageCount.rawValue) - 1, Limits.maximumPageCount)
    return max(deviceByteCount, pages * UInt64(Limits.pageByteCount))
  }

  /// The fewest bytes that are worth growing to: there is one more segment, and what lies at the
  /// new end does not touch what lies at the old one.
  public var minimumGrownByteCount: UInt64 {
    let segmentPages = UInt64(segmentPageCount.rawValue)
    let body = max(
      devicePageCount, firstSegmentPage.rawValue + (UInt64(segmentCount) + 1) * segmentPages)
    var tablePages = UInt64(tablePageCount.rawValue)
    while true {
      let pages = body + Geometry.edgePageCount(tablePageCount: tablePages)
      let entries = UInt64(SegmentTablePage.entriesPerPage)
      // Two more pages of table are far less than what one of them has entries for.
      guard (pages / segmentPages + entries - 1) / entries > tablePages else {
        return pages * UInt64(Limits.pageByteCount)
      }
      tablePages += 1
    }
  }

  /// The same store on more bytes.
  ///
  /// - Throws: `FormatError.malformed` where it is fewer than `minimumGrownByteCount` or more than
  ///   `maximumByteCount`.
  public func grown(toByteCount byteCount: UInt64) throws(FormatError) -> Geometry {
    guard byteCount >= minimumGrownByteCount, byteCount <= maximumByteCount else {
      throw .malformed("grown byte count")
    }
    return try Geometry(
      deviceByteCount: byteCount, segmentByteCount: segmentByteCount,
      firstSegmentPage: firstSegmentPage)
  }

  /// The same store at its largest: finds the segment of every page that a store may come to use
  /// while it is open. Places of segments are the same in all sizes.
  public var largest: Geometry {
    let largest = try? Geometry(
      deviceByteCount: maximumByteCount, segmentByteCount: segmentByteCount,
      firstSegmentPage: firstSegmentPage)
    return largest ?? self
  }
}
