import Testing

/// A place that breaks a rule. Recorded as such, so that a failure shows the place and not the file.
struct Breach: Hashable {
  let text: String

  init(_ text: String) { self.text = text }

  /// Fails the running test once for each.
  static func record(_ breaches: [Breach]) {
    for breach in breaches { Issue.record(Comment(rawValue: breach.text)) }
  }
}

extension SourceFile {
  /// The lines that break a rule: file, number, and the line as it stands there.
  func breaches(where isBroken: (_ index: Int) -> Bool) -> [Breach] {
    lines.indices.filter(isBroken).map { index in
      Breach("\(path):\(index + 1): \(lines[index].drop { $0 == " " })")
    }
  }

  /// The lines whose code, comments and strings left out, holds one of the patterns.
  func breaches(ofCode patterns: [Regex<AnyRegexOutput>]) -> [Breach] {
    breaches { index in patterns.contains { code[index].firstMatch(of: $0) != nil } }
  }
}
