import Foundation

/// The repository that these tests were built from.
enum SourceTree {
  /// The top of the repository.
  static let root: URL = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Every Swift file that is ours, in a fixed order.
  static let swiftFiles: [SourceFile] = files { $0.hasSuffix(".swift") }
  /// The Swift files of the library targets.
  static let librarySources: [SourceFile] = swiftFiles.filter { $0.path.hasPrefix("Sources/") }
  /// The Swift files of the library and of the tools, without tests.
  static let productSources: [SourceFile] = swiftFiles.filter {
    $0.path.hasPrefix("Sources/") || $0.path.contains("/Sources/")
  }
  /// Every text file that is ours.
  static let textFiles: [SourceFile] = files { path in
    !["img", "varve", "png", "svg", "lz4"].contains(
      path.split(separator: ".").last.map(String.init))
  }

  private static func files(where isWanted: (String) -> Bool) -> [SourceFile] {
    let skipped = [".git", ".swiftpm", "Package.resolved"]
    var found: [SourceFile] = []
    var folders = [""]
    while let folder = folders.popLast() {
      let names =
        (try? FileManager.default.contentsOfDirectory(atPath: root.path + "/" + folder)) ?? []
      for name in names where !skipped.contains(name) && !name.hasPrefix(".build") {
        let path = folder.isEmpty ? name : folder + "/" + name
        var isFolder: ObjCBool = false
        let absolute = root.path + "/" + path
        // What a link leads to is read where it lies.
        guard (try? FileManager.default.destinationOfSymbolicLink(atPath: absolute)) == nil,
          FileManager.default.fileExists(atPath: absolute, isDirectory: &isFolder)
        else { continue }
        if isFolder.boolValue {
          folders.append(path)
        } else if isWanted(path),
          let data = FileManager.default.contents(atPath: root.path + "/" + path),
          let text = String(data: data, encoding: .utf8)
        {
          found.append(SourceFile(path: path, text: text))
        }
      }
    }
    precondition(!found.isEmpty, "the repository is not where the tests were built: \(root.path)")
    return found.sorted { $0.path < $1.path }
  }

  /// Runs a program and returns its exit code and what it printed on stdout.
  static func run(_ arguments: [String], in folder: URL) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    process.currentDirectoryURL = folder
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }
}
