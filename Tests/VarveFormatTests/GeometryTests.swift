import Testing
import VarveFormat

/// Where structures lie, for every size of device.
@Suite struct GeometryTests {
  /// Powers of two from 2 MiB to 16 TiB, and odd amounts around them.
  static let byteCounts: [UInt64] = (21...44).flatMap { power -> [UInt64] in
    let whole = UInt64(1) << UInt64(power)
    return [
      whole, whole + 1, whole + 511, whole + 4096, whole + 12_345_678, whole + whole / 3,
      whole + whole / 2 + 4095, 2 * whole - 1, 2 * whole - 4096,
    ]
  }

  @Test(arguments: byteCounts) func structuresDoNotOverlap(byteCount: UInt64) throws {
    let segmentByteCount = Geometry.defaultSegmentByteCount(forDeviceByteCount: byteCount)
    let geometry = try Geometry(deviceByteCount: byteCount, segmentByteCount: segmentByteCount)
    #expect(geometry.segmentCount >= UInt32(Limits.minimumSegmentCount))
    #expect(geometry.deviceByteCount <= byteCount && byteCount - geometry.deviceByteCount < 4096)
    // An early end of the table would leave segments without an entry.
    #expect(
      Int(geometry.tablePageCount.rawValue) * SegmentTablePage.entriesPerPage
        >= Int(geometry.segmentCount))
    var ranges: [Range<UInt64>] = (0..<Superblock.copyCount).map {
      let page = geometry.superblockPage(copy: $0).rawValue
      return page..<page + 1
    }
    let tablePages = Int(geometry.tablePageCount.rawValue)
    for copy in 0..<2 {
      let first = geometry.tablePage(0, copy: copy, slot: 0).rawValue
      let last = geometry.tablePage(tablePages - 1, copy: copy, slot: 1).rawValue
      #expect(last - first + 1 == 2 * UInt64(tablePages))
      ranges.append(first..<last + 1)
    }
    let last = SegmentIndex(geometry.segmentCount - 1)
    let pages = UInt64(geometry.segmentPageCount.rawValue)
    let end = geometry.firstPage(of: last).rawValue + pages
    ranges.append(geometry.firstSegmentPage.rawValue..<end)
    ranges.sort { $0.lowerBound < $1.lowerBound }
    for (before, after) in zip(ranges, ranges.dropFirst()) {
      #expect(before.upperBound <= after.lowerBound)
    }
    #expect(ranges.last?.upperBound == geometry.devicePageCount)
    let again = try Geometry(
      deviceByteCount: geometry.deviceByteCount, segmentByteCount: segmentByteCount)
    #expect(again == geometry)
    // A store that has grown keeps its segments, and its table still fits before them.
    let grown = try Geometry(
      deviceByteCount: geometry.deviceByteCount * Geometry.growthFactor,
      segmentByteCount: segmentByteCount, firstSegmentPage: geometry.firstSegmentPage)
    #expect(grown.firstPage(of: last) == geometry.firstPage(of: last))
    #expect(grown.tablePage(0, copy: 0, slot: 1) == geometry.tablePage(0, copy: 0, slot: 1))
    #expect(
      grown.tablePage(Int(grown.tablePageCount.rawValue) - 1, copy: 0, slot: 1)
        < grown.firstSegmentPage)
    try checkSegments(geometry)
  }

  private func checkSegments(_ geometry: Geometry) throws {
    let pages = UInt64(geometry.segmentPageCount.rawValue)
    for number in [0, 1, geometry.segmentCount / 2, geometry.segmentCount - 1] {
      let segment = SegmentIndex(number)
      let first = geometry.firstPage(of: segment)
      #expect(geometry.segment(containing: first) == segment)
      #expect(geometry.segment(containing: PageIndex(first.rawValue + pages - 1)) == segment)
      #expect(first.rawValue + pages <= Limits.maximumPageCount)
    }
    let end = geometry.firstPage(of: SegmentIndex(geometry.segmentCount - 1)).rawValue + pages
    #expect(geometry.segment(containing: PageIndex(end)) == nil)
    #expect(geometry.segment(containing: PageIndex(geometry.firstSegmentPage.rawValue - 1)) == nil)
    #expect(geometry.segment(containing: PageIndex(UInt64.max)) == nil)
    // The summaries fit behind the frames, at least their distance apart.
    for summaryPages in [1, 2, 3] as [UInt32] where UInt64(summaryPages) * 4 <= pages {
      let limit = geometry.framePageLimit(summaryPages: PageCount(summaryPages)).rawValue
      #expect(limit >= 2 && UInt64(limit) + 2 * UInt64(summaryPages) <= pages)
      let distance = max(summaryPages, geometry.summaryDistance.rawValue)
      #expect(UInt32(pages) - summaryPages - limit >= distance)
    }
    let value = geometry.maximumValueByteCount
    #expect(value > 0 && value <= Limits.maximumValueByteCount)
    let longest = RecordHeader.maximumByteCount + Limits.maximumKeyByteCount + value
    #expect(
      FrameHeader.payloadByteOffset + longest <= geometry.maximumExtentPageCount.byteCount)
  }

  @Test func refusesWhatIsOutOfRange() {
    let cases: [(UInt64, Int)] = [
      (0, 32 << 10), ((2 << 20) - 1, 32 << 10), (2 << 20, 16 << 10), (2 << 20, 64 << 10),
      (2 << 20, 0), (2 << 20, -4096), (1 << 30, (32 << 10) + 1), (1 << 30, 128 << 20),
      (1 << 30, 64 << 20), (UInt64.max, 64 << 20), (1 << 63, 32 << 10), (1 << 52, 32 << 10),
      (UInt64.max, Int.max), (2 << 20, Int.min),
    ]
    for (byteCount, segmentByteCount) in cases {
      #expect(throws: FormatError.self, "\(byteCount), \(segmentByteCount)") {
        try Geometry(deviceByteCount: byteCount, segmentByteCount: segmentByteCount)
      }
    }
  }

  /// A number of summary pages from the medium never overflows.
  @Test func framePageLimitOfHostileCounts() {
    let geometry = Sample.geometry()
    for pages in [4, 8, 1000, UInt32.max / 2, UInt32.max] {
      #expect(geometry.framePageLimit(summaryPages: PageCount(pages)).rawValue == 0)
    }
  }

  /// The bounds of `Limits` fit each other and the fields that hold them.
  @Test func limits() throws {
    #expect(Limits.pageByteCount % Limits.sectorByteCount == 0)
    #expect(Limits.maximumKeyByteCount <= Int(UInt16.max))
    #expect(Limits.maximumValueByteCount <= Int(UInt32.max))
    #expect(Limits.pageByteCount / RecordHeader.alignment == Int(UInt8.max) + 1)
    let longest =
      FrameHeader.payloadByteOffset + RecordHeader.maximumByteCount + Limits.maximumKeyByteCount
      + Limits.maximumValueByteCount + RecordHeader.alignment
    #expect(longest <= Limits.maximumExtentPageCount * Limits.pageByteCount)
    #expect(Limits.maximumExtentPageCount <= Limits.maximumSegmentPageCount)
    #expect(Limits.maximumValueByteCount <= Limits.maximumSegmentByteCount / 4)
    #expect(Limits.maximumBatchByteCount <= Limits.maximumSegmentByteCount / 2)
    #expect(Limits.maximumPageCount == 1 << 40)
    #expect(Limits.minimumSegmentByteCount >= 8 * Limits.pageByteCount)
    #expect(
      UInt64(Limits.minimumSegmentCount * Limits.minimumSegmentByteCount)
        <= Limits.minimumDeviceByteCount)
    #expect(Limits.maximumCounter < UInt64.max / 2)
    #expect(Limits.maximumGeneration < UInt32.max)
    let smallest = try Geometry(
      deviceByteCount: Limits.minimumDeviceByteCount,
      segmentByteCount: Limits.minimumSegmentByteCount)
    #expect(smallest.segmentCount >= UInt32(Limits.minimumSegmentCount))
    #expect(smallest.maximumBatchByteCount == Limits.minimumSegmentByteCount / 2)
    #expect(CheckpointPage.entriesPerPage == 202 && CheckpointPage.generationsPerPage == 1010)
    #expect(SegmentTablePage.entriesPerPage * SegmentEntry.byteCount + 64 == Limits.pageByteCount)
  }
}
