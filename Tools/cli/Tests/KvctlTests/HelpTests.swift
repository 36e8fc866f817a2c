import Console
import Foundation
import Testing

/// What the tools say of themselves.
@Suite struct HelpTests {
  static let commands = [
    "create", "info", "stat", "segments", "recover", "compact", "resize", "get", "put", "del",
    "load", "dump", "verify", "shell",
  ]

  @Test(
    "Help is wrapped once: no line is broken in the middle of a paragraph",
    arguments: commands + ["probe"])
  func wrapping(command: String) throws {
    func discussion(columns: Int) throws -> Substring {
      let environment = ["COLUMNS": "\(columns)"]
      let help = try ToolProcess("kvctl", [command, "--help"], environment: environment).end().text
      let usage = try #require(help.range(of: "USAGE:"))
      return help[..<usage.lowerBound]
    }
    #expect(try discussion(columns: 80) == discussion(columns: 300))
  }

  @Test("Arguments are named one by one", arguments: commands)
  func arguments(command: String) throws {
    let help = try ToolProcess.kvctl(command, "--help").text
    #expect(!help.contains("<arguments>"))
    #expect(help.contains("  <store>"))
    if command == "put" { #expect(help.contains("  <store> <key> <value>")) }
    #expect(help.contains("from 8MiB to"))
    #expect(help.contains("from 1 to 64"))
  }

  @Test("Exit code 10 means what recover does with it: not closed, and recovered")
  func recoveredExitCode() throws {
    for help in [["--help"], ["recover", "--help"]] {
      let text = try ToolProcess("kvctl", help, environment: ["COLUMNS": "300"]).end().text
      let words = text.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
      #expect(words.contains("had not been closed"))
      #expect(words.contains("at most an unacknowledged tail was dropped"))
    }
    let place = try Workplace()
    let store = try place.store()
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = shell.line()
    shell.sendSIGKILL()
    _ = shell.end()
    let recovered = try ToolProcess.kvctl("recover", store, "--json")
    #expect(recovered.status == 10)
    #expect(try recovered.json["outcome"] == "recovered")
    #expect(try recovered.json["droppedRecords"]?.integer == 0)
    #expect(try ToolProcess.kvctl("recover", store).status == 0)
  }

  @Test("help of what is no command is a usage error")
  func unknown() throws {
    let bogus = try ToolProcess.kvctl("help", "bogus")
    #expect(bogus.status == 64)
    #expect(bogus.output.isEmpty)
    #expect(try ToolProcess.kvctl("help", "put").text.contains("kvctl put"))
    #expect(try ToolProcess.kvctl("help").status == 0)
  }

  @Test("kvbench takes a memory budget as kvctl does")
  func benchBudget() throws {
    let help = try ToolProcess("kvbench", ["basics", "--help"]).end()
    #expect(help.status == 0)
    #expect(help.text.contains("--memory-budget <size>"))
    #expect(!help.text.contains("mi-b"))
    let small = try ToolProcess("kvbench", ["basics", "--memory-budget", "8MiB"]).end()
    #expect(small.status == 64)
    #expect(small.errors.contains("16MiB"))
  }
}
