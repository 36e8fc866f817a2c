import Console
import Foundation
import KeyLoad

/// A run in a process of its own: memory, CPU and bytes written are that store's alone.
struct LoadProcess {
  let program: String
  let arguments: [String]

  /// Varve, by this program.
  static let varve = LoadProcess(program: "/proc/self/exe", arguments: ["overwrite-varve"])

  static func peer(_ name: String, of program: PeerProgram) -> LoadProcess {
    LoadProcess(program: program.path, arguments: [name])
  }

  /// Runs a plan; a failure of the store or of its process is a part of the report.
  ///
  /// - Throws: `BenchError` where a signal asks this program to end, or the process speaks another
  ///   language.
  func run(_ plan: LoadPlan) throws -> LoadReport {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program).resolvingSymlinksInPath()
    process.arguments = arguments + [try plan.argument]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    var report = LoadReport()
    do {
      try read(output.fileHandleForReading, &report)
    } catch {
      process.terminate()
      process.waitUntilExit()
      throw error
    }
    process.waitUntilExit()
    try stopIfAsked()
    let kind = process.terminationReason == .exit ? "exit code" : "signal"
    report.end(status: "\(kind) \(process.terminationStatus)")
    return report
  }

  private func read(_ handle: FileHandle, _ report: inout LoadReport) throws {
    var buffer = Data()
    while let bytes = try handle.read(upToCount: 64 << 10), !bytes.isEmpty {
      try stopIfAsked()
      buffer.append(bytes)
      while let end = buffer.firstIndex(of: 10) {
        let line = String(decoding: buffer[..<end], as: UTF8.self)
        buffer.removeSubrange(...end)
        do {
          report.take(try LoadLine(text: line))
        } catch {
          throw BenchError("\(program) said: \(line)")
        }
      }
    }
  }

  private func stopIfAsked() throws {
    guard Interruption.signal == nil else { throw BenchError("stopped by \(Interruption.name)") }
  }
}
