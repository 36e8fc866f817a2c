import Testing

@Suite struct WordingTests {
  @Test("Nothing in the products traps on the world's behalf")
  func noTraps() throws {
    let banned = try [
      Regex("\\btry!"), Regex("\\bas!"), Regex("\\bfatalError\\b"), Regex("\\bunowned\\b"),
    ]
    for file in SourceTree.productSources {
      for (index, line) in file.code.enumerated() {
        for pattern in banned {
          #expect(line.firstMatch(of: pattern) == nil, "\(file.path):\(index + 1): \(line)")
        }
      }
    }
  }

  @Test("No notes to self")
  func noNotes() throws {
    let words = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]
    let pattern = try Regex("\\b(\(words.joined(separator: "|")))\\b")
    for file in SourceTree.textFiles {
      for (index, line) in file.lines.enumerated() {
        #expect(line.firstMatch(of: pattern) == nil, "\(file.path):\(index + 1): \(line)")
      }
    }
  }

  @Test("Each unchecked claim of sendability names what makes it true")
  func safetyComments() {
    for file in SourceTree.productSources {
      for (index, line) in file.code.enumerated() where line.contains("@unchecked Sendable") {
        let nearby = file.lines[max(0, index - 8)...min(file.lines.count - 1, index + 3)]
        #expect(
          nearby.contains { $0.contains("SAFETY:") }, "\(file.path):\(index + 1) has no SAFETY")
      }
    }
  }

  @Test("The library never prints")
  func noPrinting() throws {
    let pattern = try Regex("\\b(print|debugPrint|dump|perror)\\(")
    for file in SourceTree.librarySources {
      for (index, line) in file.code.enumerated() {
        #expect(line.firstMatch(of: pattern) == nil, "\(file.path):\(index + 1): \(line)")
      }
    }
  }

  @Test("No path of somebody's machine")
  func noMachinePaths() {
    let folders = ["ro" + "ot", "ho" + "me", "wo" + "rk", "Us" + "ers"].map { "/\($0)/" }
    for file in SourceTree.textFiles {
      for (index, line) in file.lines.enumerated() {
        for folder in folders {
          #expect(!Self.names(folder, in: line), "\(file.path):\(index + 1): \(line)")
        }
      }
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
