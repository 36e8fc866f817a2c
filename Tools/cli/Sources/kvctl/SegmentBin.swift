import Varve

/// Neighbouring segments that are drawn as one cell, a single one in a small store.
struct SegmentBin: Hashable {
  /// The first segment and how many there are.
  var range: Range<Int>
  /// Whose records most of them hold; nil where all are free.
  var stream: SegmentInfo.Stream?
  /// Whether one of them is being filled.
  var isOpen = false
  /// The share that is live, of all of them together; nil where that is not known of each.
  var liveShare: Double?

  /// Gathers segments into at most so many cells of a power of two segments each.
  static func bins(_ segments: [SegmentInfo], limit: Int) -> [SegmentBin] {
    var size = 1
    while (segments.count + size - 1) / size > max(1, limit) { size *= 2 }
    return stride(from: 0, to: segments.count, by: size).map { start in
      SegmentBin(segments[start..<min(start + size, segments.count)])
    }
  }

  private init(_ segments: ArraySlice<SegmentInfo>) {
    range = segments.startIndex..<segments.endIndex
    var counts: [SegmentInfo.Stream: Int] = [:]
    for segment in segments {
      if let stream = segment.stream { counts[stream, default: 0] += 1 }
      if segment.state == .open { isOpen = true }
    }
    // In the order of the streams where two have as many, so that a drawing is repeatable.
    let most = counts.values.max()
    stream = SegmentInfo.Stream.allCases.first { counts[$0] != nil && counts[$0] == most }
    let shares = segments.compactMap(\.liveShare)
    if shares.count == segments.count, !shares.isEmpty {
      liveShare = shares.reduce(0, +) / Double(shares.count)
    }
  }
}
