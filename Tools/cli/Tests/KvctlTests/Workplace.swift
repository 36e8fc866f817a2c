import Console
import Foundation
import Testing

/// A folder of a test's own, on a disk, removed with it.
final class Workplace {
  let folder: String

  init() throws {
    folder = "/var/tmp/varve-tests-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  /// Copies a file to the folder that VARVE_TEST_KEEP names, so that a failure can be looked into.
  func keep(_ name: String, as copy: String) {
    guard let folder = ProcessInfo.processInfo.environment["VARVE_TEST_KEEP"] else { return }
    try? FileManager.default.copyItem(atPath: path(name), toPath: folder + "/" + copy)
  }

  func path(_ name: String) -> String { folder + "/" + name }

  /// Makes a store and returns its path.
  func store(_ name: String = "store", size: String = "16MiB") throws -> String {
    let made = try ToolProcess.kvctl("create", path(name), "--size", size)
    try #require(made.status == 0, "\(made.errors)")
    return path(name)
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: URL(filePath: path(name)))
  }

  /// Flips a byte of every copy of `mark` in a file; returns how many there were.
  func damage(_ name: String, at mark: [UInt8]) throws -> Int {
    var data = Data(bytes(of: name))
    var count = 0
    var start = data.startIndex
    while let range = data.range(of: Data(mark), in: start..<data.endIndex) {
      data[range.lowerBound + 1] ^= 0xFF
      start = range.upperBound
      count += 1
    }
    try data.write(to: URL(filePath: path(name)))
    return count
  }

  func bytes(of name: String) -> [UInt8] {
    FileManager.default.contents(atPath: path(name)).map { Array($0) } ?? []
  }
}

extension ToolProcess.Ended {
  /// The output, or the last line of it, as JSON.
  var json: JSONValue {
    get throws {
      let line = text.split(separator: "\n").last ?? ""
      return try JSONParser.parse(Array(line.utf8))
    }
  }

  /// Everything on standard error, which is lines of JSON.
  var errorLines: [JSONValue] {
    get throws {
      try errors.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
    }
  }

  /// The error object on standard error.
  var error: JSONValue {
    get throws {
      let line = errors.split(separator: "\n").last ?? ""
      return try JSONParser.parse(Array(line.utf8))
    }
  }
}
