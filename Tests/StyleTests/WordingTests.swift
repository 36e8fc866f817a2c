import Testing

@Suite struct WordingTests {
  @Test("Nothing in the products traps on the world's behalf")
  func noTraps() throws {
    let banned = try [Regex("\\btry!"), Regex("\\bas!"), Regex("\\bunowned\\b")]
    for file in SourceTree.productSources { Breach.record(file.breaches(ofCode: banned)) }
  }

  @Test("The process is ended only where the kernel broke its contract, and a comment says so")
  func fatalErrors() {
    for file in SourceTree.productSources { Breach.record(Self.unexplainedFatalErrors(in: file)) }
  }

  @Test("A fatal error without a reason, or outside the I/O layer, is found")
  func fatalErrorsAreFound() {
    let text = """
      // FATAL: the kernel wrote beyond what was lent to it.
      fatalError("a")
      let line = 1
      let other = "fatalError"
      let more = 2
      fatalError("b")
      """
    let io = SourceFile(path: "Sources/VarveIO/x.swift", text: text)
    #expect(Self.unexplainedFatalErrors(in: io).map(\.text).count == 1)
    let engine = SourceFile(path: "Sources/Varve/x.swift", text: text)
    #expect(Self.unexplainedFatalErrors(in: engine).map(\.text).count == 2)
  }

  /// Going on would hand out memory that somebody else writes to; only the I/O layer can know that.
  private static func unexplainedFatalErrors(in file: SourceFile) -> [Breach] {
    file.breaches { index in
      guard file.code[index].contains("fatalError(") else { return false }
      let before = file.lines[max(0, index - 3)..<index]
      let isExplained = before.contains { $0.contains("// ") && $0.contains("kernel") }
      return !file.path.hasPrefix("Sources/VarveIO/") || !isExplained
    }
  }

  @Test("No notes to self")
  func noNotes() throws {
    let words = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]
    let pattern = try Regex("\\b(\(words.joined(separator: "|")))\\b")
    for file in SourceTree.textFiles {
      Breach.record(file.breaches { file.lines[$0].firstMatch(of: pattern) != nil })
    }
  }

  @Test("Each unchecked claim of sendability names what makes it true")
  func safetyComments() {
    for file in SourceTree.productSources {
      Breach.record(
        file.breaches { index in
          guard file.code[index].contains("@unchecked Sendable") else { return false }
          let nearby = file.lines[max(0, index - 8)...min(file.lines.count - 1, index + 3)]
          return !nearby.contains { $0.contains("SAFETY:") }
        })
    }
  }

  @Test("The library never prints")
  func noPrinting() throws {
    let pattern = try Regex("\\b(print|debugPrint|dump|perror)\\(")
    for file in SourceTree.librarySources { Breach.record(file.breaches(ofCode: [pattern])) }
  }

  @Test("No path of somebody's machine")
  func noMachinePaths() {
    let folders = ["ro" + "ot", "ho" + "me", "wo" + "rk", "Us" + "ers"].map { "/\($0)/" }
    for file in SourceTree.textFiles {
      Breach.record(
        file.breaches { index in folders.contains { Self.names($0, in: file.lines[index]) } })
    }
  }

  /// True when an absolute path in the line begins with the folder.
  private static func names(_ folder: String, in line: Substring) -> Bool {
    guard let range = line.firstRange(of: folder) else { return false }
    guard range.lowerBound > line.startIndex else { return true }
    let before = line[line.index(before: range.lowerBound)]
    return !before.isLetter && !before.isNumber && !"._-}*)\"".contains(before) || before == "\""
  }
}
