import Testing

@Suite struct ShapeTests {
  static let maximumFileLineCount = 500
  static let maximumFunctionLineCount = 60
  static let maximumColumnCount = 100
  /// Files that hold several small nouns of one kind.
  static let plurals: Set<String> = ["Units"]

  @Test("A file is read in one sitting")
  func fileLength() {
    Breach.record(
      SourceTree.swiftFiles.filter { $0.lines.count > Self.maximumFileLineCount }
        .map { Breach("\($0.path) has \($0.lines.count) lines") })
  }

  @Test("A line fits beside another window")
  func lineLength() {
    Breach.record(
      SourceTree.swiftFiles.flatMap { file in
        file.breaches { index in file.lines[index].count > Self.maximumColumnCount }
      })
  }

  @Test("A function fits on a page")
  func functionLength() {
    for file in SourceTree.swiftFiles {
      Breach.record(
        Self.functions(of: file).filter { $0.lineCount > Self.maximumFunctionLineCount }
          .map { Breach("\(file.path):\($0.firstLine): a function of \($0.lineCount) lines") })
    }
  }

  @Test("A file is named for a noun that it declares or extends")
  func fileNames() throws {
    for file in SourceTree.productSources where file.baseName != "main" {
      let noun = file.baseName.split(separator: "+").first.map(String.init) ?? file.baseName
      guard !Self.plurals.contains(noun) else { continue }
      let kinds = "struct|class|enum|protocol|actor|extension|typealias"
      let declaration = try Regex("\\b(\(kinds))\\s+([A-Za-z.]+\\.)?\(noun)\\b")
      let isDeclared = file.code.contains { $0.firstMatch(of: declaration) != nil }
      if !isDeclared { Breach.record([Breach("\(file.path) declares no \(noun)")]) }
    }
  }

  @Test("The function finder measures what it should")
  func functionFinder() {
    let text = """
      struct S {
        func one() { "}" }
        func two(
          a: Int = { 3 }()
        ) throws -> Int {
          // }
          return 1
        }
        init() {
        }
      }
      protocol P { func three() }
      """
    let found = Self.functions(of: SourceFile(path: "x.swift", text: text))
    #expect(found.map(\.firstLine) == [2, 3, 9])
    #expect(found.map(\.lineCount) == [1, 6, 2])
  }

  /// The functions of a file: from the line that begins with the keyword to the closing brace.
  static func functions(of file: SourceFile) -> [(firstLine: Int, lineCount: Int)] {
    var found: [(firstLine: Int, lineCount: Int)] = []
    let opening = #/^\s*(@\w+(\([^)]*\))?\s+|[a-z]+(\(\w+\))?\s+)*(func\s|init[?(<]|deinit\b)/#
    for (index, line) in file.code.enumerated() where line.firstMatch(of: opening) != nil {
      guard let lineCount = bodyLineCount(file.code[index...]) else { continue }
      found.append((index + 1, lineCount))
    }
    return found
  }

  /// How many lines a declaration takes up to the brace that closes its body; nil without a body.
  private static func bodyLineCount(_ lines: ArraySlice<Substring>) -> Int? {
    var braces = 0
    var parentheses = 0
    var isInBody = false
    for (count, line) in lines.enumerated() {
      for character in line {
        switch character {
        case "(", "[": parentheses += 1
        case ")", "]": parentheses -= 1
        case "{":
          if parentheses == 0 { isInBody = true }
          braces += 1
        case "}":
          braces -= 1
          if braces < 0 { return nil }
          if isInBody, braces == 0, parentheses == 0 { return count + 1 }
        default: break
        }
      }
      // A requirement of a protocol ends with its line and has no body.
      if !isInBody, parentheses == 0, count + 1 < lines.count {
        let next = lines[lines.startIndex + count + 1].drop { $0 == " " }
        let continues = ["{", "where ", "throws", "async", "->", "rethrows"]
        if !continues.contains(where: { next.hasPrefix($0) }) { return nil }
      }
    }
    return nil
  }
}
