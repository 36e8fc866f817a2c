import Testing
import VarveFormat

/// Where a store lies before and after it has grown.
@Suite struct GrowthGeometryTests {
  @Test(arguments: GeometryTests.byteCounts) func theLeastGrowth(byteCount: UInt64) throws {
    let geometry = try Geometry(
      deviceByteCount: byteCount,
      segmentByteCount: Geometry.defaultSegmentByteCount(forDeviceByteCount: byteCount))
    let least = geometry.minimumGrownByteCount
    let grown = try geometry.grown(toByteCount: least)
    #expect(grown.deviceByteCount == least)
    #expect(grown.segmentCount > geometry.segmentCount)
    // What lies at the new end leaves alone what lies at the old one.
    #expect(
      grown.tablePage(0, copy: 1, slot: 0).rawValue >= geometry.devicePageCount)
    #expect(throws: FormatError.self) { try geometry.grown(toByteCount: least - 4096) }
    #expect(throws: FormatError.self) {
      try geometry.grown(toByteCount: geometry.deviceByteCount)
    }
  }

  @Test(arguments: GeometryTests.byteCounts) func theMostGrowth(byteCount: UInt64) throws {
    let geometry = try Geometry(
      deviceByteCount: byteCount,
      segmentByteCount: Geometry.defaultSegmentByteCount(forDeviceByteCount: byteCount))
    let most = geometry.maximumByteCount
    #expect(most >= geometry.deviceByteCount * Geometry.growthFactor)
    let grown = try geometry.grown(toByteCount: most)
    #expect(grown == geometry.largest)
    #expect(grown.largest == grown)
    #expect(
      grown.tablePage(Int(grown.tablePageCount.rawValue) - 1, copy: 0, slot: 1)
        < grown.firstSegmentPage)
    #expect(throws: FormatError.self) { try geometry.grown(toByteCount: most + 4096) }
    for segment in [0, geometry.segmentCount - 1].map({ SegmentIndex($0) }) {
      let page = geometry.firstPage(of: segment)
      #expect(grown.firstPage(of: segment) == page)
      #expect(grown.segment(containing: page) == segment)
      #expect(
        grown.framePageLimit(summaryPages: PageCount(1))
          == geometry.framePageLimit(summaryPages: PageCount(1)))
    }
    for ordinal in 0..<Int(geometry.tablePageCount.rawValue) {
      #expect(
        grown.tablePage(ordinal, copy: 0, slot: 1) == geometry.tablePage(ordinal, copy: 0, slot: 1))
    }
  }

  /// A superblock whose segments begin far behind says that its table has room for very many.
  @Test func roomWithoutEnd() throws {
    let geometry = try Geometry(
      deviceByteCount: 1 << 44, segmentByteCount: Limits.minimumSegmentByteCount,
      firstSegmentPage: PageIndex(1 << 31))
    #expect(geometry.maximumByteCount >= geometry.deviceByteCount)
    #expect(geometry.largest.segmentCount >= geometry.segmentCount)
    #expect(geometry.minimumGrownByteCount > geometry.deviceByteCount)
  }
}
