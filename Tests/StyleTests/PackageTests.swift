import Foundation
import Testing

@Suite struct PackageTests {
  @Test("The top level of the repository is fixed")
  func topLevel() throws {
    let fixed: Set<String> = [
      "Package.swift", "Package.resolved", "Sources", "Tests", "Tools", "Fixtures", "DESIGN.md",
      "README.md", "FORMAT.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
    ]
    let names = try FileManager.default.contentsOfDirectory(atPath: SourceTree.root.path)
    for name in names where !name.hasPrefix(".") {
      #expect(fixed.contains(name), "\(name) has no place at the top")
    }
  }

  @Test("No pins are tracked: a library takes what its user resolves")
  func pinsAreNotTracked() throws {
    guard FileManager.default.fileExists(atPath: SourceTree.root.path + "/.git") else { return }
    let listed = try SourceTree.run(
      ["git", "ls-files", "--", "*Package.resolved", "*.build/*"], in: SourceTree.root)
    #expect(listed.status == 0)
    #expect(listed.output.isEmpty, "tracked: \(listed.output)")
  }

  @Test("No unsafe flags: they bar a package from being a dependency")
  func noUnsafeFlags() throws {
    let manifest = try #require(SourceTree.swiftFiles.first { $0.path == "Package.swift" })
    #expect(!manifest.code.contains { $0.contains("unsafe" + "Flags") })
  }

  @Test("A consumer of Varve resolves logging and metrics, and no more than two others")
  func consumerResolvesLittle() throws {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "varve-consumer-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(
      at: folder.appending(path: "Sources/Consumer"), withIntermediateDirectories: true)
    let manifest = """
      // swift-tools-version: 6.2
      import PackageDescription
      let package = Package(
        name: "consumer",
        dependencies: [.package(name: "varve", path: "\(SourceTree.root.path)")],
        targets: [
          .executableTarget(
            name: "Consumer", dependencies: [.product(name: "Varve", package: "varve")])
        ])
      """
    try manifest.write(
      to: folder.appending(path: "Package.swift"), atomically: true, encoding: .utf8)
    try "import Varve\n".write(
      to: folder.appending(path: "Sources/Consumer/main.swift"), atomically: true, encoding: .utf8)
    let shown = try SourceTree.run(
      ["swift", "package", "show-dependencies", "--format", "json"], in: folder)
    try #require(shown.status == 0, "the consumer does not resolve")
    let consumer = try JSONDecoder().decode(ResolvedPackage.self, from: Data(shown.output.utf8))
    let varve = try #require(consumer.dependencies.first, "the consumer resolved nothing")
    let names = Set(varve.closure)
    #expect(names.isSuperset(of: ["swift-log", "swift-metrics"]))
    let allowed: Set<String> = ["swift-log", "swift-metrics", "swift-system", "swift-collections"]
    #expect(names.isSubset(of: allowed), "resolved: \(names.sorted())")
  }
}

/// One node of `swift package show-dependencies --format json`.
private struct ResolvedPackage: Decodable {
  let identity: String
  let dependencies: [ResolvedPackage]

  /// The identities of everything below this package.
  var closure: [String] { dependencies.flatMap { [$0.identity] + $0.closure } }
}
