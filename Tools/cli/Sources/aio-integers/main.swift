// aio-integers: an example of Linux AIO from Swift, without the store. It writes consecutive
// integers to the pages of a file, reads them back and prints their sum. Start with IntegerFile.

import ArgumentParser
import Console
import Glibc
import VarveIO

struct AIOIntegers: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aio-integers",
    abstract: "Writes integers to 4 KiB blocks through Linux AIO, and adds them up.",
    discussion: """
      EXAMPLES:
        aio-integers
        aio-integers --concurrent-requests 32 --min-nr 4 --max-nr 16

      Prints the sum: 499500 for the default of 1000 blocks. The file must not
      exist, and is removed at the end.
      """)

  @Option(help: "The file to make.") var path = "/var/tmp/aio-integers"
  @Option(help: "The length of the file, in blocks of 4 KiB.") var fileSize = 1000
  @Option(help: "Requests under way at once.") var concurrentRequests = 100
  @Option(help: "Completions to wait for at a time.") var minNr = 1
  @Option(help: "Completions to take at a time at most.") var maxNr = 1

  func validate() throws {
    func require(_ condition: Bool, _ message: String) throws {
      guard condition else { throw ValidationError(message) }
    }
    try require((1...1 << 24).contains(fileSize), "--file-size lies between 1 and 16777216")
    try require(
      (1...4096).contains(concurrentRequests), "--concurrent-requests lies between 1 and 4096")
    try require(minNr >= 0, "--min-nr is 0 or more")
    try require(maxNr >= 1, "--max-nr is 1 or more")
    try require(minNr <= maxNr, "--min-nr must not be above --max-nr")
  }

  func run() async throws {
    do {
      var file = try IntegerFile(
        path: path,
        IntegerFile.Knobs(
          pageCount: fileSize, concurrentRequestCount: concurrentRequests,
          minimumCount: minNr, maximumCount: maxNr))
      defer { _ = unsafe unlink(path) }
      try file.write()
      try ByteOutput.standard.writeLine("\(try file.sum())")
    } catch let error as DeviceError {
      let status: ExitStatus = error.code == .resource ? .resource : .refused
      throw ToolError(status, code: error.code.rawValue, error.message)
    } catch let error as IOError {
      throw ToolError(.failure, code: "io", "\(error)", byteOffset: error.byteOffset)
    }
  }
}

await ToolMain.run(AIOIntegers.self)
