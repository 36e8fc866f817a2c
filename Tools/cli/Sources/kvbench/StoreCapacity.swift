/// How many records of 1 KiB a store of a certain length is said to hold before a put of a new key
/// answers `full`: DESIGN.md, *The usable share*, as arithmetic. A large store holds more than 90 %
/// of its pages, which is what it promises.
enum StoreCapacity {
  private static let pageByteCount: UInt64 = 4096
  private static let recordsPerPage: UInt64 = 3
  private static let recordsPerSummaryPage: UInt64 = 300

  /// The share of its pages that a large store promises for records.
  static let promisedShare = 0.9

  /// The records that a store is said to hold.
  static func recordCount(storeByteCount: UInt64) -> UInt64 {
    let promised = Double(storeByteCount / pageByteCount * recordsPerPage) * promisedShare
    return min(fittingRecordCount(storeByteCount: storeByteCount), UInt64(promised))
  }

  /// The share of the pages of a store that so many records take.
  static func pageShare(ofRecords recordCount: UInt64, storeByteCount: UInt64) -> Double {
    Double(recordCount) / Double(storeByteCount / pageByteCount * recordsPerPage)
  }

  /// The records that fit.
  private static func fittingRecordCount(storeByteCount: UInt64) -> UInt64 {
    var segmentByteCount: UInt64 = 32 << 10
    while segmentByteCount < 64 << 20, segmentByteCount * 2 <= storeByteCount / 256 {
      segmentByteCount *= 2
    }
    let pageCount = segmentByteCount / pageByteCount
    // What lies before the first segment and behind the last one takes less than one more.
    let segmentCount = storeByteCount / segmentByteCount - 1
    let reserved = max(4, min(8, segmentCount / 64))
    // Beside the reserve one is open and one is ready.
    guard segmentCount > reserved + 2 else { return 0 }
    let summaryPageCount =
      (pageCount * recordsPerPage + recordsPerSummaryPage - 1) / recordsPerSummaryPage
    let usedPageCount = 1 + 2 * max(summaryPageCount, pageCount / 256)
    return (segmentCount - reserved - 2) * (pageCount - usedPageCount) * recordsPerPage
  }

  /// The length of a store of which so many records take that share, or a little less.
  static func storeByteCount(recordCount: UInt64, share: Double) -> UInt64 {
    let wanted = Double(recordCount) / share
    var mebibyteCount = max(8, UInt64(wanted) / recordsPerPage * pageByteCount >> 20)
    while Double(Self.recordCount(storeByteCount: mebibyteCount << 20)) < wanted {
      mebibyteCount += max(1, mebibyteCount / 256)
    }
    return mebibyteCount << 20
  }
}
