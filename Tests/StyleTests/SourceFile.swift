import Foundation

/// A Swift source file, with comments and string contents blanked out for rules about code.
struct SourceFile: Sendable {
  /// The path from the top of the repository.
  let path: String
  let lines: [Substring]
  /// The same lines, but comments and the insides of string literals are spaces.
  let code: [Substring]

  /// The name without its folders and its `.swift`.
  var baseName: String {
    String(path.split(separator: "/").last?.dropLast(".swift".count) ?? "")
  }

  init(path: String, text: String) {
    self.path = path
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    code = Self.masked(text).split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The modules imported, whatever stands before `import`.
  var imports: [String] {
    code.compactMap { line in
      let words = line.split(separator: " ")
      guard let position = words.firstIndex(of: "import"), position + 1 < words.count,
        words[..<position].allSatisfy({ $0.hasPrefix("@") || Self.accessLevels.contains($0) })
      else { return nil }
      let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
      let named = kinds.contains(String(words[position + 1])) ? position + 2 : position + 1
      guard named < words.count else { return nil }
      return words[named].split(separator: ".").first.map(String.init)
    }
  }

  private static let accessLevels: Set<Substring> = [
    "public", "package", "internal", "fileprivate", "private",
  ]

  private enum Scanning {
    case code
    case lineComment
    case blockComment(depth: Int)
    case string(hashes: Int, isMultiline: Bool)
  }

  private static func masked(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var result = bytes
    var state = Scanning.code
    var at = 0
    func matches(_ word: String) -> Bool {
      at + word.utf8.count <= bytes.count
        && bytes[at..<(at + word.utf8.count)].elementsEqual(word.utf8)
    }
    func blank(_ count: Int) {
      for index in at..<min(at + count, bytes.count) where bytes[index] != 10 {
        result[index] = 32
      }
      at += count
    }
    while at < bytes.count {
      switch state {
      case .code:
        if matches("//") {
          state = .lineComment
        } else if matches("/*") {
          state = .blockComment(depth: 1)
          blank(2)
        } else if let opening = stringOpening(bytes, at) {
          state = .string(hashes: opening.hashes, isMultiline: opening.isMultiline)
          at += opening.byteCount
        } else {
          at += 1
        }
      case .lineComment:
        if bytes[at] == 10 { state = .code }
        blank(1)
      case .blockComment(let depth):
        if matches("*/") {
          state = depth == 1 ? .code : .blockComment(depth: depth - 1)
          blank(2)
        } else {
          blank(1)
        }
      case .string(let hashes, let isMultiline):
        let hashText = String(repeating: "#", count: hashes)
        let closing = (isMultiline ? "\"\"\"" : "\"") + hashText
        if matches(closing) {
          at += closing.utf8.count
          state = .code
        } else if matches("\\" + hashText) {
          blank(2 + hashes)
        } else {
          blank(1)
        }
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func stringOpening(
    _ bytes: [UInt8], _ start: Int
  ) -> (hashes: Int, isMultiline: Bool, byteCount: Int)? {
    var at = start
    while at < bytes.count, bytes[at] == UInt8(ascii: "#") { at += 1 }
    guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { return nil }
    let hashes = at - start
    let quote = UInt8(ascii: "\"")
    let isMultiline = at + 2 < bytes.count && bytes[at + 1] == quote && bytes[at + 2] == quote
    return (hashes, isMultiline, hashes + (isMultiline ? 3 : 1))
  }
}
