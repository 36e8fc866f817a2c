import Foundation
import VarveFormat

/// FORMAT.md, read as a machine reads it: tables under their headings, and blocks of code.
struct FormatDocument {
  /// A table: the nearest heading above it, its column names and its cells.
  struct Table {
    let heading: String
    let columns: [String]
    let rows: [[String]]
  }

  private(set) var tables: [Table] = []
  /// Lines of the blocks of code, by what stands behind the opening fence.
  private(set) var blocks: [String: [String]] = [:]
  let text: String

  /// The top of the repository.
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func load() throws -> FormatDocument {
    FormatDocument(
      try String(contentsOf: root.appending(path: "FORMAT.md"), encoding: .utf8))
  }

  init(_ text: String) {
    self.text = text
    var heading = ""
    var fence: String?
    var rows: [[String]] = []
    // The line break at the end of the text gives an empty last line, which ends any table.
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        fence = fence == nil ? String(line.dropFirst(3)) : nil
        if let fence { blocks[fence] = [] }
        continue
      }
      if let fence {
        blocks[fence]?.append(String(line))
        continue
      }
      if line.hasPrefix("|") {
        rows.append(
          line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false)
            .map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " `")) })
        continue
      }
      if rows.count > 2 {
        tables.append(Table(heading: heading, columns: rows[0], rows: Array(rows[2...])))
      }
      rows = []
      if line.hasPrefix("#") { heading = String(line.drop { $0 == "#" || $0 == " " }) }
    }
  }

  /// The fields that each table of a structure names.
  var layouts: [String: [FieldLayout]] {
    get throws {
      var layouts: [String: [FieldLayout]] = [:]
      for table in tables where table.columns == ["Offset", "Bytes", "Field", "Meaning"] {
        layouts[table.heading, default: []] += try table.rows.map { row in
          guard row.count == 4, let byteOffset = Int(row[0]), let byteCount = Int(row[1]),
            !row[3].isEmpty
          else { throw Malformed(line: row.joined(separator: " | ")) }
          return FieldLayout(row[2], byteOffset, byteCount)
        }
      }
      return layouts
    }
  }

  struct Malformed: Error {
    let line: String
  }
}

/// Bytes as FORMAT.md shows them: 16 a line behind their offset, zeros left out.
enum HexDump {
  static func lines(_ bytes: [UInt8]) -> [String] {
    var lines: [String] = []
    var isEliding = false
    for start in stride(from: 0, to: bytes.count, by: 16) {
      let row = bytes[start..<min(start + 16, bytes.count)]
      if row.allSatisfy({ $0 == 0 }) {
        if !isEliding { lines.append("*") }
        isEliding = true
        continue
      }
      isEliding = false
      let hex = row.map { digits(UInt64($0), 2) }.joined(separator: " ")
      let text = row.map { 0x20..<0x7f ~= $0 ? String(UnicodeScalar($0)) : "." }.joined()
      lines.append("\(digits(UInt64(start), 4))  \(hex)  \(text)")
    }
    return lines + [digits(UInt64(bytes.count), 4)]
  }

  static func digits(_ number: UInt64, _ count: Int) -> String {
    let text = String(number, radix: 16)
    return String(repeating: "0", count: max(0, count - text.count)) + text
  }
}
