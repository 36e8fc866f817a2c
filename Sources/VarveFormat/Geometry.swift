// Where everything lies on the device, derived from three numbers: its byte count, the segment's
// byte count, and where segment 0 begins, which stays when the store grows.
//
//   page 0            superblock copy 0
//   page 8            superblock copy 1
//   pages 9 …         segment table at the head: page 0 in both slots, page 1 in both slots, …
//   aligned           segment 0, segment 1, …
//   … end − 10        segment table at the tail, likewise
//   end − 9           superblock copy 2
//   end − 1           superblock copy 3

/// The places of a store's structures on its device.
public struct Geometry: Hashable, Sendable {
  /// The recorded byte count of the device, a multiple of 4096.
  public let deviceByteCount: UInt64
  /// The byte count of a segment, a power of two.
  public let segmentByteCount: Int
  /// How many segments there are.
  public let segmentCount: UInt32
  /// Where segment 0 begins.
  public let firstSegmentPage: PageIndex
  /// The pages of one slot of one copy of the segment table.
  public let tablePageCount: PageCount
  /// The logarithm of a segment's pages: finding a page's segment is on every path.
  @usableFromInline let segmentPageShift: UInt64

  /// How many times as large a store may grow at least: so much room its table has at the head.
  public static let growthFactor: UInt64 = 8

  /// Lays a store out on a device, with room to grow, or reads the layout of one.
  ///
  /// - Throws: `FormatError.malformed` when the numbers are out of range.
  public init(
    deviceByteCount: UInt64, segmentByteCount: Int, firstSegmentPage: PageIndex? = nil
  ) throws(FormatError) {
    guard deviceByteCount >= Limits.minimumDeviceByteCount,
      deviceByteCount / UInt64(Limits.pageByteCount) <= Limits.maximumPageCount
    else { throw .malformed("device byte count") }
    guard segmentByteCount >= Limits.minimumSegmentByteCount,
      segmentByteCount <= Limits.maximumSegmentByteCount,
      segmentByteCount & (segmentByteCount - 1) == 0
    else { throw .malformed("segment byte count") }
    let page = UInt64(Limits.pageByteCount)
    let devicePages = deviceByteCount / page
    let segmentPages = UInt64(segmentByteCount) / page
    let entries = UInt64(SegmentTablePage.entriesPerPage)
    // An upper bound of the table comes first, so that the layout needs no fixed point.
    let spacing = UInt64(Geometry.superblockSpacing) + 1
    let tablePages = max(1, (devicePages / segmentPages + entries - 1) / entries)
    let edge = spacing + 2 * tablePages
    let alignment = min(segmentPages, 256 as UInt64)
    let grownPages = devicePages * Geometry.growthFactor / segmentPages
    let roomy = spacing + 2 * max(1, (grownPages + entries - 1) / entries)
    let first = firstSegmentPage?.rawValue ?? (roomy + alignment - 1) / alignment * alignment
    guard first >= edge, first % alignment == 0, first < devicePages else {
      throw .malformed("first segment page")
    }
    guard devicePages > first + edge else { throw .malformed("device too small") }
    let count = (devicePages - first - edge) / segmentPages
    guard count >= UInt64(Limits.minimumSegmentCount), count < UInt64(UInt32.max) else {
      throw .malformed("fewer than \(Limits.minimumSegmentCount) segments")
    }
    self.deviceByteCount = devicePages * page
    self.segmentByteCount = segmentByteCount
    segmentCount = UInt32(count)
    self.firstSegmentPage = PageIndex(first)
    tablePageCount = PageCount(UInt32(tablePages))
    segmentPageShift = UInt64(segmentPages.trailingZeroBitCount)
  }

  /// Pages between the two superblock copies of one end, so that one bad spot takes only one.
  public static let superblockSpacing = 8

  /// The segment byte count for a device where the user states none: 1/256 of it as a power of
  /// two, within the limits.
  public static func defaultSegmentByteCount(forDeviceByteCount byteCount: UInt64) -> Int {
    var size = Limits.minimumSegmentByteCount
    while size < Limits.maximumSegmentByteCount, UInt64(size) * 2 <= byteCount / 256 { size *= 2 }
    return size
  }

  /// Pages of the device.
  public var devicePageCount: UInt64 { deviceByteCount / UInt64(Limits.pageByteCount) }

  /// Pages of a segment.
  @inlinable public var segmentPageCount: PageCount {
    PageCount(UInt32(segmentByteCount / Limits.pageByteCount))
  }

  /// Where a copy of the superblock lies on a device of `devicePageCount` pages.
  public static func superblockPage(copy: Int, devicePageCount: UInt64) -> PageIndex {
    switch copy {
    case 0: PageIndex(0)
    case 1: PageIndex(UInt64(superblockSpacing))
    case 2: PageIndex(devicePageCount - 1 - UInt64(superblockSpacing))
    default: PageIndex(devicePageCount - 1)
    }
  }

  /// Where a copy of the superblock lies.
  public func superblockPage(copy: Int) -> PageIndex {
    Geometry.superblockPage(copy: copy, devicePageCount: devicePageCount)
  }

  /// Where a page of the segment table lies: copy 0 at the head, copy 1 at the tail, two slots
  /// each, of which the newer valid one counts. The slots of a page are neighbours, so that a table
  /// that grows leaves its pages where they are.
  public func tablePage(_ ordinal: Int, copy: Int, slot: Int) -> PageIndex {
    let table = UInt64(tablePageCount.rawValue)
    let start =
      copy == 0
      ? UInt64(Geometry.superblockSpacing) + 1
      : devicePageCount - 1 - UInt64(Geometry.superblockSpacing) - 2 * table
    return PageIndex(start + 2 * UInt64(ordinal) + UInt64(slot))
  }

  /// The first page of a segment: its header.
  @inlinable
  public func firstPage(of segment: SegmentIndex) -> PageIndex {
    PageIndex(
      firstSegmentPage.rawValue
        + UInt64(segment.rawValue) * UInt64(segmentPageCount.rawValue))
  }

  /// The segment that holds a page, or nil where no segment lies.
  @inlinable
  public func segment(containing page: PageIndex) -> SegmentIndex? {
    guard page >= firstSegmentPage else { return nil }
    let segment = (page.rawValue - firstSegmentPage.rawValue) >> segmentPageShift
    return segment < UInt64(segmentCount) ? SegmentIndex(UInt32(segment)) : nil
  }

  /// The least number of pages between the two copies of a summary page, so that one bad spot of
  /// the medium takes only one of them.
  public var summaryDistance: PageCount {
    PageCount(max(1, segmentPageCount.rawValue / 256))
  }

  /// Pages that frames may take where the summary has `summaryPages` pages.
  public func framePageLimit(summaryPages: PageCount) -> PageCount {
    // In 64 bits, because the number of summary pages may come from the medium.
    let copy = UInt64(summaryPages.rawValue)
    let reserved = copy + max(copy, UInt64(summaryDistance.rawValue))
    let total = UInt64(segmentPageCount.rawValue)
    return PageCount(UInt32(total > reserved ? total - reserved : 0))
  }

  /// The largest extent that a segment holds: beside the header, one summary page twice.
  public var maximumExtentPageCount: PageCount {
    PageCount(framePageLimit(summaryPages: PageCount(1)).rawValue - 1)
  }

  /// The longest value that this geometry takes with the longest key.
  public var maximumValueByteCount: Int {
    let payload =
      maximumExtentPageCount.byteCount - FrameHeader.payloadByteOffset
      - RecordHeader.maximumByteCount - Limits.maximumKeyByteCount
    return min(Limits.maximumValueByteCount, payload)
  }

  /// The most bytes that one batch may take in the log: 8 MiB or half a segment.
  public var maximumBatchByteCount: Int {
    min(Limits.maximumBatchByteCount, segmentByteCount / 2)
  }
}
