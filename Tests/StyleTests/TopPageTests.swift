import Foundation
import Testing

/// What the pages at the top say about building and testing.
@Suite struct TopPageTests {
  private func text(_ path: String) throws -> String {
    try String(contentsOf: SourceTree.root.appending(path: path), encoding: .utf8)
  }

  @Test("The manifest of README resolves, whatever the folder of Varve is called")
  func manifestOfReadme() throws {
    let block = try text("README.md").components(separatedBy: "```swift\n").dropFirst().first
    let manifest = try #require(block?.components(separatedBy: "```").first)
    try #require(manifest.hasPrefix("// swift-tools-version: "))
    try #require(manifest.contains("path: \"../varve\""))
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "varve-readme-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let service = folder.appending(path: "service")
    try FileManager.default.createDirectory(
      at: service.appending(path: "Sources/MyService"), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      at: folder.appending(path: "some-clone"), withDestinationURL: SourceTree.root)
    try manifest.replacing("../varve", with: "../some-clone").write(
      to: service.appending(path: "Package.swift"), atomically: true, encoding: .utf8)
    try "import Varve\n".write(
      to: service.appending(path: "Sources/MyService/main.swift"), atomically: true,
      encoding: .utf8)
    // Shows the targets' dependencies, so a product that nobody has would be refused.
    let shown = try SourceTree.run(
      ["swift", "package", "show-dependencies", "--format", "json"], in: service)
    #expect(shown.status == 0)
    #expect(shown.output.contains("swift-metrics"))
  }

  @Test("DESIGN lists every public member of the store's API")
  func signatures() throws {
    let list = try #require(try text("DESIGN.md").components(separatedBy: "\n## API\n").last)
    let listed = Set(list.matches(of: #/\w+/#).map { String($0.0) })
    let member =
      #/public (?:static |mutating |package\(set\) |internal\(set\) )*(?:var|let|func|case) (\w+)/#
    let files = SourceTree.librarySources.filter { $0.path.hasPrefix("Sources/Varve/API/") }
    #expect(files.count > 10)
    for file in files {
      for match in file.lines.flatMap({ $0.matches(of: member) })
      where !listed.contains(String(match.1)) {
        Issue.record("DESIGN.md does not list \(match.1) of \(file.path)")
      }
    }
  }

  @Test("CONTRIBUTING names every variable that the tests read")
  func variables() throws {
    let name = #/"(VARVE_[A-Z_]+)"/#
    let read = Set(
      SourceTree.swiftFiles.filter { $0.path.contains("Tests/") }.flatMap { file in
        file.lines.flatMap { line in line.matches(of: name).map { String($0.1) } }
      })
    let row = #/^\| `(VARVE_[A-Z_]+)=/#
    let documented = try text("CONTRIBUTING.md").split(separator: "\n").compactMap {
      $0.firstMatch(of: row).map { String($0.1) }
    }
    #expect(read.count >= 7)
    #expect(Set(documented) == read)
  }
}
