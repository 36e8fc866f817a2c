import Console
import Foundation
import Testing

/// The example of Linux AIO without the store.
@Suite struct AIOIntegersTests {
  private func run(_ arguments: String...) throws -> ToolProcess.Ended {
    try ToolProcess("aio-integers", arguments).end()
  }

  @Test("The integers from 0 to 999 add up, however they are read")
  func sums() throws {
    let place = try Workplace()
    let path = place.path("integers")
    let plain = try run("--path", path)
    #expect(plain.status == 0, "\(plain.errors)")
    #expect(plain.text == "499500\n")
    #expect(!FileManager.default.fileExists(atPath: path))
    for knobs in [("1", "1", "1"), ("7", "3", "3"), ("64", "0", "5"), ("3", "16", "64")] {
      let ended = try run(
        "--path", path, "--file-size", "100", "--concurrent-requests", knobs.0, "--min-nr",
        knobs.1, "--max-nr", knobs.2)
      #expect(ended.status == 0 && ended.text == "4950\n", "\(knobs): \(ended.errors)")
    }
  }

  @Test(
    "The knobs reach the system calls",
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: "/usr/bin/strace"),
      "strace is not installed"))
  func knobsTakeEffect() throws {
    let place = try Workplace()
    let trace = place.path("trace")
    let arguments = [
      "-o", trace, "-f", "-e", "trace=io_setup,io_submit,io_getevents", "--",
      ToolProcess.folder + "/aio-integers", "--path", place.path("integers"), "--file-size", "64",
      "--concurrent-requests", "16", "--min-nr", "4", "--max-nr", "8",
    ]
    let strace = Process()
    strace.executableURL = URL(fileURLWithPath: "/usr/bin/strace")
    strace.arguments = arguments
    strace.standardOutput = FileHandle.nullDevice
    try strace.run()
    strace.waitUntilExit()
    #expect(strace.terminationStatus == 0)
    let calls = try String(contentsOfFile: trace, encoding: .utf8)
    #expect(calls.contains("io_setup(16, "))
    let counts = calls.matches(of: #/io_submit\(\w+, (\d+), /#).compactMap { Int($0.1) }
    // As many as may be under way at first, then as many as were taken at a time.
    #expect(counts.max() == 16)
    #expect(counts.reduce(0, +) == 128, "each page is written and read once")
    #expect(counts.allSatisfy { $0 == 16 || $0 <= 8 })
  }

  @Test("What makes no sense is a usage error, and what exists is left alone")
  func refusals() throws {
    let place = try Workplace()
    let path = place.path("integers")
    #expect(try run("--path", path, "--min-nr", "2").status == 64)
    #expect(try run("--path", path, "--file-size", "0").status == 64)
    #expect(try run("--path", path, "--concurrent-requests", "0").status == 64)
    #expect(!FileManager.default.fileExists(atPath: path))
    try Data("mine".utf8).write(to: URL(fileURLWithPath: path))
    let refused = try run("--path", path)
    #expect(refused.status == 30, "\(refused.errors)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("mine".utf8))
  }
}
