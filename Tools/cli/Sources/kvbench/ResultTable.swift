/// Measurements by name, in the order in which they first came, with medians and spread.
struct ResultTable {
  private struct Row {
    var values: [Double] = []
    var raw: [Double] = []
  }

  private var names: [String] = []
  private var rows: [String: Row] = [:]

  mutating func add(_ name: String, _ value: Double, raw: Double? = nil) {
    if rows[name] == nil { names.append(name) }
    rows[name, default: Row()].values.append(value)
    if let raw { rows[name]?.raw.append(raw) }
  }

  /// A line for each measurement: median, its range, and the median of the ratios to the probe.
  var text: String {
    names.map { name in
      guard let row = rows[name], let least = row.values.min(), let most = row.values.max() else {
        return name
      }
      var line = "\(name): \(Self.number(Spread(row.values).median))"
      line += " (\(Self.number(least)) to \(Self.number(most)))"
      if !row.raw.isEmpty {
        let ratios = zip(row.values, row.raw).map { $0 / $1 }
        line += ", raw \(Self.number(Spread(row.raw).median))"
        line += ", ratio \(Self.number(Spread(ratios).median))"
      }
      return line
    }.joined(separator: "\n")
  }

  /// Three digits that count.
  static func number(_ value: Double) -> String {
    guard value >= 0.0005 else { return "0" }
    guard value < 100 else { return String(Int(value.rounded())) }
    let scale: Double = value < 1 ? 1000 : value < 10 ? 100 : 10
    return String((value * scale).rounded() / scale)
  }
}
