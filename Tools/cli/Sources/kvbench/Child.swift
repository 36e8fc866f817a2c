import Foundation

/// A failed benchmark, in words.
struct BenchError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Child processes.
enum Child {
  /// Runs a program and returns what it printed.
  static func run(
    _ program: String, _ arguments: [String], expectedSignal: Int32? = nil, isQuiet: Bool = false
  ) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program).resolvingSymlinksInPath()
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    if isQuiet { process.standardError = FileHandle.nullDevice }
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let isExpected =
      if let expectedSignal {
        process.terminationReason == .uncaughtSignal && process.terminationStatus == expectedSignal
      } else { process.terminationReason == .exit && process.terminationStatus == 0 }
    guard isExpected else {
      throw BenchError(
        "\(program) \(arguments.joined(separator: " ")) ended with "
          + "\(process.terminationStatus); is fio installed (apt install fio)?")
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
