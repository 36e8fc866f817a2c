import Console
import Varve

/// The map of a store's segments as text: a cell for each, or for some, as wide as the terminal
/// allows and never longer than a screen or two.
struct SegmentChart {
  let map: SegmentMap
  let path: String
  let terminal: Terminal

  /// The longest map, in lines, and the widest, in cells.
  private static let maximumLineCount = 32
  private static let maximumCellCount = 64

  /// The characters of cells.
  private struct Glyphs {
    var shades: [Character]
    var free: Character
    static let unicode = Glyphs(shades: ["░", "▒", "▓", "█"], free: "·")
    static let ascii = Glyphs(shades: ["-", "=", "%", "#"], free: ".")
    static let open: Character = "o"
    static let checkpoint: Character = "c"
    static let unknown: Character = "?"
  }

  private var glyphs: Glyphs { terminal.usesUnicode ? .unicode : .ascii }

  var text: String {
    let labelWidth = "\(max(0, map.segments.count - 1))".count
    var cellsPerLine = Self.maximumCellCount
    while cellsPerLine > 8, cellsPerLine + labelWidth + 2 > terminal.columnCount {
      cellsPerLine /= 2
    }
    let bins = SegmentBin.bins(map.segments, limit: cellsPerLine * Self.maximumLineCount)
    let lines = stride(from: 0, to: bins.count, by: cellsPerLine).map { start in
      let line = bins[start..<min(start + cellsPerLine, bins.count)]
      let label = "\(line.first?.range.lowerBound ?? 0)"
      return String(repeating: " ", count: labelWidth - label.count) + label + "  " + cells(line)
    }
    let totals = SegmentTotal.totals(map).map(\.cells)
    return
      ([heading(bins), ""] + lines + ["", legend, ""]
      + [TextTable.text([SegmentTotal.heading] + totals, leftColumns: [0])])
      .joined(separator: "\n")
  }

  private func heading(_ bins: [SegmentBin]) -> String {
    let size = bins.first?.range.count ?? 1
    let state =
      map.isLive
      ? Description.state(holder: map.holderProcessID, isReading: map.isHolderReading)
      : "not in use"
    return Description.table(
      [
        ("store", path + (map.label.isEmpty ? "" : " (\(map.label))")), ("state", state),
        (
          "map",
          "\(map.segments.count) segments of \(ByteSize(UInt64(map.segmentByteCount))); a cell is "
            + (size == 1 ? "one segment" : "\(size) segments")
        ),
      ] + map.findings.map { ("note", $0) })
  }

  private var legend: String {
    let shades = glyphs.shades.map(String.init).joined(separator: " ")
    var lines = [
      "\(shades)  live: up to 25, 50, 75, 100 %   \(glyphs.free) free   \(Glyphs.open) open"
        + "   \(Glyphs.checkpoint) checkpoint"
    ]
    if !map.hasLiveCounts { lines.append("\(Glyphs.unknown)  not known what is live") }
    let streams = SegmentInfo.Stream.allCases.filter { stream in
      map.segments.contains { $0.stream == stream }
    }
    if terminal.usesColor, !streams.isEmpty {
      lines.append(
        streams.map { colored("\($0.rawValue)", Self.color($0)) }.joined(separator: "  "))
    }
    return lines.joined(separator: "\n")
  }

  private func glyph(_ bin: SegmentBin) -> Character {
    guard let stream = bin.stream else { return glyphs.free }
    if bin.isOpen { return Glyphs.open }
    if stream == .checkpoint { return Glyphs.checkpoint }
    guard let share = bin.liveShare else { return Glyphs.unknown }
    return glyphs.shades[min(3, Int(share * 4))]
  }

  /// Cells of one colour share a sequence.
  private func cells(_ bins: ArraySlice<SegmentBin>) -> String {
    var text = ""
    var run = ""
    var color: Int?
    for bin in bins {
      let next = bin.stream.map(Self.color) ?? 90
      if next != color {
        text += colored(run, color)
        (run, color) = ("", next)
      }
      run.append(glyph(bin))
    }
    return text + colored(run, color)
  }

  private func colored(_ text: String, _ color: Int?) -> String {
    guard terminal.usesColor, let color, !text.isEmpty else { return text }
    return "\u{1B}[\(color)m\(text)\u{1B}[0m"
  }

  private static func color(_ stream: SegmentInfo.Stream) -> Int {
    switch stream {
    case .user: 36
    case .relocation1: 33
    case .relocation2: 93
    case .relocation3: 35
    case .relocation4: 95
    case .checkpoint: 32
    }
  }
}
