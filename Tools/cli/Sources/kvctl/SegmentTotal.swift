import Console
import Varve

/// What segments of one kind come to.
struct SegmentTotal {
  let name: String
  let segments: [SegmentInfo]

  /// One for each stream that has segments, one for the free ones, and one for all.
  static func totals(_ map: SegmentMap) -> [SegmentTotal] {
    let streams = SegmentInfo.Stream.allCases.map { stream in
      SegmentTotal(
        name: stream.rawValue, segments: map.segments.filter { $0.stream == stream })
    }
    let free = SegmentTotal(name: "free", segments: map.segments.filter { $0.state == .free })
    return streams.filter { !$0.segments.isEmpty } + [
      free, SegmentTotal(name: "all", segments: map.segments),
    ]
  }

  /// The share that is live, from 0 to 1; nil where that is not known of each.
  var liveShare: Double? {
    let shares = segments.compactMap(\.liveShare)
    return shares.count == segments.count && !shares.isEmpty
      ? shares.reduce(0, +) / Double(shares.count) : nil
  }

  private func count(_ state: SegmentInfo.State) -> String {
    "\(segments.count { $0.state == state })"
  }

  static let heading = ["", "segments", "sealed", "open", "live", "live bytes, about"]

  var cells: [String] {
    let byteCount = liveShare.map { $0 * Double(segments.reduce(0) { $0 + $1.byteCount }) }
    return [
      name, "\(segments.count)", count(.sealed), count(.open),
      liveShare.map { "\(Int(($0 * 100).rounded())) %" } ?? "?",
      byteCount.map { "\(ByteSize(UInt64($0)))" } ?? "?",
    ]
  }
}
