import Foundation
import Testing

/// What README and CHANGELOG say of kvctl.
@Suite struct TopPageTests {
  private func text(_ name: String) throws -> String {
    var root = URL(filePath: #filePath)
    for _ in 0..<5 { root.deleteLastPathComponent() }
    return try String(contentsOf: root.appending(path: name), encoding: .utf8)
  }

  @Test("The commands of README run, and print what it shows")
  func commandsOfReadme() throws {
    let place = try Workplace()
    let block = try text("README.md").components(separatedBy: "```console\n").dropFirst().first
    let lines = try #require(block?.components(separatedBy: "```").first).split(separator: "\n")
    #expect(lines.count >= 5)
    var output = ""
    for line in lines {
      guard line.hasPrefix("$ kvctl ") else {
        #expect(output == line + "\n", "\(line)")
        continue
      }
      let words = line.split(separator: " ").dropFirst(2).map {
        $0 == "store.varve" ? place.path("store.varve") : String($0)
      }
      let ended = try ToolProcess("kvctl", words).end()
      #expect(ended.status == 0, "\(line): \(ended.errors)")
      output = ended.text.hasSuffix("\n") ? ended.text : ended.text + "\n"
    }
  }

  @Test("The version of kvctl is the newest of CHANGELOG")
  func version() throws {
    let heading = try text("CHANGELOG.md").split(separator: "\n").first { $0.hasPrefix("## ") }
    let version = try ToolProcess.kvctl("--version").text.split(separator: "\n").first ?? ""
    let named = heading?.dropFirst("## ".count).prefix { $0 == "." || $0.isNumber } ?? ""
    #expect(!named.isEmpty && named == version)
  }
}
