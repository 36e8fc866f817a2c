import Console
import Varve

/// The map of a store's segments as SVG: a file that stands alone, with a title for each cell.
struct SegmentDrawing {
  let map: SegmentMap
  let path: String

  /// Cells of more segments than this are drawn together.
  private static let maximumCellCount = 4096
  private static let cellWidth = 14
  private static let margin = 16
  private static let top = 64
  /// How strong the colour of a cell is in which nothing is live.
  private static let leastOpacity = 0.12

  private var bins: [SegmentBin] { SegmentBin.bins(map.segments, limit: Self.maximumCellCount) }

  var text: String {
    let bins = bins
    var columnCount = 32
    while columnCount < 64, columnCount * columnCount < bins.count { columnCount *= 2 }
    let lineCount = (bins.count + columnCount - 1) / columnCount
    let width = 2 * Self.margin + columnCount * Self.cellWidth
    let bottom = Self.top + lineCount * Self.cellWidth + Self.margin
    let totals = SegmentTotal.totals(map)
    let height = bottom + 20 * (totals.count + 1) + Self.margin
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
        + "viewBox=\"0 0 \(width) \(height)\" role=\"img\" font-family=\"sans-serif\" "
        + "font-size=\"12\">",
      "<title>Segments of \(Self.escaped(path))</title>",
      "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#ffffff\"/>",
    ]
    lines += heading(bins)
    for (position, bin) in bins.enumerated() {
      lines.append(
        cell(
          bin, x: Self.margin + position % columnCount * Self.cellWidth,
          y: Self.top + position / columnCount * Self.cellWidth))
    }
    lines += legend(totals, y: bottom)
    return (lines + ["</svg>"]).joined(separator: "\n")
  }

  private func heading(_ bins: [SegmentBin]) -> [String] {
    let size = bins.first?.range.count ?? 1
    let facts =
      "\(map.segments.count) segments of \(ByteSize(UInt64(map.segmentByteCount)))"
      + (size > 1 ? ", \(size) to a cell" : "")
      + (map.liveShare.map { ", \(Self.percent($0)) live" } ?? "")
      + (map.isLive ? " (live, may be stale)" : "")
    let name = map.label.isEmpty ? path : "\(path) (\(map.label))"
    return [
      Self.label(name, x: Self.margin, y: 28, attributes: "font-size=\"16\""),
      Self.label(facts, x: Self.margin, y: 48),
    ]
  }

  private func cell(_ bin: SegmentBin, x: Int, y: Int) -> String {
    let width = Self.cellWidth - 2
    var shape = "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(width)\" rx=\"2\""
    if let stream = bin.stream {
      // Of what is not known there is the outline alone.
      let opacity = bin.liveShare.map { Self.leastOpacity + (1 - Self.leastOpacity) * $0 } ?? 0
      shape += " fill=\"\(Self.color(stream))\" fill-opacity=\"\(Description.rounded(opacity))\""
      if bin.isOpen || bin.liveShare == nil { shape += " stroke=\"\(Self.color(stream))\"" }
      if bin.isOpen { shape += " stroke-width=\"2\"" }
    } else {
      shape += " fill=\"#eeeeee\""
    }
    return shape + "><title>\(Self.escaped(title(bin)))</title></rect>"
  }

  private func title(_ bin: SegmentBin) -> String {
    let live = bin.liveShare.map { ", \(Self.percent($0)) live" } ?? ", not known what is live"
    guard bin.range.count == 1 else {
      let kind = bin.stream.map { "mostly \($0.rawValue)" } ?? "free"
      return "segments \(bin.range.lowerBound) to \(bin.range.upperBound - 1): \(kind)"
        + (bin.stream == nil ? "" : live)
    }
    let segment = map.segments[bin.range.lowerBound]
    guard let stream = segment.stream else { return "segment \(segment.index): free" }
    let records = segment.liveRecordCount.map { count in
      ", \(count) live records" + (segment.recordCount.map { " of \($0)" } ?? "")
    }
    return "segment \(segment.index): \(segment.state.rawValue), \(stream.rawValue)\(live)"
      + (records ?? "") + (segment.newerSegmentCount.map { ", \($0) newer" } ?? "")
      + ", generation \(segment.generation)"
  }

  /// The colours with their totals, below the cells.
  private func legend(_ totals: [SegmentTotal], y: Int) -> [String] {
    let note = "The stronger a colour, the more is live; a frame marks what is being filled."
    return totals.enumerated().flatMap { position, total in
      let base = y + 20 * position
      let stream = SegmentInfo.Stream(rawValue: total.name)
      let fill = stream.map(Self.color) ?? (total.name == "free" ? "#eeeeee" : "none")
      let cells = total.cells
      return [
        "<rect x=\"\(Self.margin)\" y=\"\(base)\" width=\"12\" height=\"12\" rx=\"2\" "
          + "fill=\"\(fill)\"/>",
        Self.label(
          "\(total.name): \(cells[1]) segments, \(cells[4]) live", x: Self.margin + 20,
          y: base + 11),
      ]
    } + [Self.label(note, x: Self.margin, y: y + 20 * totals.count + 11)]
  }

  private static func label(_ text: String, x: Int, y: Int, attributes: String = "") -> String {
    "<text x=\"\(x)\" y=\"\(y)\" fill=\"#222222\"\(attributes.isEmpty ? "" : " " + attributes)>"
      + "\(escaped(text))</text>"
  }

  private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

  private static func color(_ stream: SegmentInfo.Stream) -> String {
    switch stream {
    case .user: "#0072b2"
    case .relocation1: "#e69f00"
    case .relocation2: "#d55e00"
    case .relocation3: "#cc79a7"
    case .relocation4: "#8b4f77"
    case .checkpoint: "#009e73"
    }
  }

  /// Text for XML: control characters, which it cannot hold, are replaced.
  private static func escaped(_ text: String) -> String {
    text.unicodeScalars.reduce(into: "") { result, scalar in
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
  }
}
