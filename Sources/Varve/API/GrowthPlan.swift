import VarveFormat
import VarveIO

/// What a store is and what it becomes when it grows.
public struct GrowthPlan: Hashable, Sendable {
  /// The byte count of the store, as its superblock records it.
  public var byteCount: UInt64 = 0
  /// The byte count after it.
  public var grownByteCount: UInt64 = 0
  /// The byte count of a segment, which stays.
  public var segmentByteCount = 0
  /// Segments in all.
  public var segmentCount = 0
  /// Segments in all after it.
  public var grownSegmentCount = 0
  /// Bytes of pages for records: those of all segments but the reserve, less what describes them.
  public var usableByteCount: UInt64 = 0
  /// The same after it.
  public var grownUsableByteCount: UInt64 = 0
  /// Bytes of zeros that are written to a file first; 0 on a block device.
  public var fillByteCount: UInt64 = 0
  /// The byte count of what lies at the path now.
  public var presentByteCount: UInt64 = 0
  /// The most bytes that this store can have: format laid out room to grow to this.
  public var maximumByteCount: UInt64 = 0

  /// Makes an empty plan.
  public init() {}
}

extension GrowthPlan {
  /// The plan for a store: `wanted` is the byte count asked for, nil takes all that is there, and
  /// more can be made where the device is extensible.
  ///
  /// - Throws: `usage` or `refused`: why it cannot become so large; `full` where the file system
  ///   has too little left.
  init(
    _ geometry: Geometry, wanted: UInt64?, presentByteCount: UInt64, on device: any BlockDevice
  ) throws(StoreError) {
    let isExtensible = device.isExtensible
    let byteCount = try GrowthPlan.byteCount(geometry, wanted, presentByteCount, isExtensible)
    let grown: Geometry
    do throws(FormatError) {
      grown = try geometry.grown(toByteCount: byteCount)
    } catch {
      throw StoreError(.refused, "a store of \(byteCount) bytes cannot be laid out: \(error)")
    }
    self.byteCount = geometry.deviceByteCount
    grownByteCount = grown.deviceByteCount
    segmentByteCount = geometry.segmentByteCount
    segmentCount = Int(geometry.segmentCount)
    grownSegmentCount = Int(grown.segmentCount)
    usableByteCount = GrowthPlan.usableByteCount(geometry)
    grownUsableByteCount = GrowthPlan.usableByteCount(grown)
    fillByteCount = isExtensible ? grownByteCount - self.byteCount : 0
    self.presentByteCount = presentByteCount
    maximumByteCount = geometry.maximumByteCount
    let presentOrNamed = min(grownByteCount, max(presentByteCount, self.byteCount))
    let lackingByteCount = grownByteCount - presentOrNamed
    if let available = device.availableByteCount, available < lackingByteCount {
      throw StoreError(
        .full,
        "the file has to grow by \(lackingByteCount) bytes, and its file system has \(available) "
          + "left: free some, or name a smaller size; the store is as it was")
    }
  }

  /// The byte count to which the store can grow with what is there; 0 where it cannot.
  static func growableByteCount(_ geometry: Geometry, presentByteCount: UInt64) -> UInt64 {
    let reachable = min(presentByteCount, geometry.maximumByteCount)
    return reachable >= geometry.minimumGrownByteCount ? reachable : 0
  }

  private static func usableByteCount(_ geometry: Geometry) -> UInt64 {
    let reserve = SegmentLedger.reserve(segmentCount: geometry.segmentCount)
    let pages = geometry.framePageLimit(summaryPages: PageCount(1)).rawValue - 1
    return (UInt64(geometry.segmentCount) - UInt64(reserve)) * UInt64(pages)
      * UInt64(Limits.pageByteCount)
  }

  private static func byteCount(
    _ geometry: Geometry, _ wanted: UInt64?, _ present: UInt64, _ isExtensible: Bool
  ) throws(StoreError) -> UInt64 {
    let (recorded, least) = (geometry.deviceByteCount, geometry.minimumGrownByteCount)
    let limit = geometry.maximumByteCount
    guard let wanted else {
      guard present >= least else {
        throw StoreError(
          .usage,
          isExtensible
            ? "say how large the store shall be: it has \(recorded) bytes, and grows to at least "
              + "\(least)"
            : "the device has \(present) bytes, and a store of \(recorded) grows to at least "
              + "\(least): enlarge the device first")
      }
      guard least <= limit else { throw beyondLimit(geometry, present) }
      // Of a device that is larger than the store can be, as much as it can.
      return min(present, limit)
    }
    guard wanted >= recorded else {
      throw StoreError(
        .refused,
        "the store has \(recorded) bytes: making it smaller is not supported. Dump it and load the "
          + "dump into a new one")
    }
    guard wanted <= limit else { throw beyondLimit(geometry, wanted) }
    guard wanted >= least else {
      throw StoreError(
        .usage,
        "the store has \(recorded) bytes, and \(wanted) would give it no further segment: it grows "
          + "to at least \(least)")
    }
    guard isExtensible || wanted <= present else {
      throw StoreError(
        .usage,
        "the device has \(present) bytes, fewer than the \(wanted) asked for: enlarge it first")
    }
    return wanted
  }

  private static func beyondLimit(_ geometry: Geometry, _ byteCount: UInt64) -> StoreError {
    StoreError(
      .refused,
      "the store can have at most \(geometry.maximumByteCount) bytes, not \(byteCount): its "
        + "segment table has room for no more. Dump it and load the dump into a new one")
  }
}
