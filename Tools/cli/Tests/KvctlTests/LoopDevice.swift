import Foundation
import Testing

/// A loop device on a file, detached with it.
final class LoopDevice {
  let path: String

  init(file: String, byteCount: Int) throws {
    _ = FileManager.default.createFile(atPath: file, contents: nil)
    try #require(truncate(file, off_t(byteCount)) == 0)
    path = try Self.run(["losetup", "--find", "--show", file])
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try #require(path.hasPrefix("/dev/loop"))
  }

  deinit { _ = try? Self.run(["losetup", "--detach", path]) }

  static var areAvailable: Bool {
    geteuid() == 0 && FileManager.default.fileExists(atPath: "/dev/loop-control")
  }

  @discardableResult
  static func run(_ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(arguments)")
    return String(decoding: data, as: UTF8.self)
  }
}
