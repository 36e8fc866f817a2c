/// Lines of cells in columns as wide as they must be.
public enum TextTable {
  /// Aligns the cells: numbers, and whatever stands in no column of `leftColumns`, to the right.
  public static func text(_ lines: [[String]], leftColumns: Set<Int>) -> String {
    guard let columns = lines.first?.indices else { return "" }
    let widths = columns.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
      let cells = columns.map { column in
        let padding = String(repeating: " ", count: widths[column] - line[column].count)
        return leftColumns.contains(column) ? line[column] + padding : padding + line[column]
      }
      let text = cells.joined(separator: "  ")
      return String(text.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }

  /// The text in lines of at most 80 columns, the first behind a label, the others indented by it.
  public static func wrapped(_ text: String, label: String) -> String {
    let indentation = String(repeating: " ", count: label.count)
    var (lines, line) = ([String](), label)
    var isEmpty = true
    for word in text.split(separator: " ") {
      if !isEmpty, line.count + 1 + word.count > 80 {
        lines.append(line)
        (line, isEmpty) = (indentation, true)
      }
      line += isEmpty ? "\(word)" : " \(word)"
      isEmpty = false
    }
    return (lines + [line]).joined(separator: "\n")
  }
}
