import Console
import Foundation
import Testing

/// What a probe refuses, and with which exit code.
@Suite struct ProbeRefusalTests {
  @Test("--write wants the path typed back, and changes nothing without it")
  func confirmation() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    let before = place.bytes(of: "store")
    for typed in ["", "\n", "yes\n", store + "x\n", "./store\n"] {
      for form in [["--json"], []] {
        let ended = try ProbeTests.probe([store, "--write"] + form, input: typed)
        #expect(ended.status == 30, "\(typed): \(ended.errors)")
        #expect(ended.output.isEmpty)
        #expect(ended.errors.contains("a Varve store"), "\(ended.errors)")
        #expect(ended.errors.contains("Type the path") == form.isEmpty)
      }
    }
    #expect(place.bytes(of: "store") == before)
    let written = try ProbeTests.probe(
      [store, "--write", "--engine", "threads", "--json"], input: store + "\n")
    #expect(written.status == 0, "\(written.errors)")
    #expect(try written.json["wrote"] == true)
    #expect(place.bytes(of: "store").count == before.count)
    #expect(place.bytes(of: "store") != before)
    #expect(try ToolProcess.kvctl("get", store, "k").status != 0)
  }

  @Test("What is no place for a store is refused")
  func refusals() throws {
    let place = try Workplace()
    try place.write([1, 2, 3], to: "short")
    mkfifo(place.path("fifo"), 0o600)
    symlink(place.path("short"), place.path("link"))
    for name in ["none", "short", "fifo", "link", "no/such/folder"] {
      let ended = try ProbeTests.probe([place.path(name), "--json"])
      #expect(ended.status == 30, "\(name): \(ended.status) \(ended.errors)")
      #expect(try ended.error["ok"] == false)
      #expect(try ended.error["message"]?.text?.isEmpty == false)
    }
    #expect(try ProbeTests.probe(["/dev/null"]).status == 30)
  }

  @Test(
    "Command lines that make no sense",
    arguments: [
      [], [""], ["a", "b"], ["/var/tmp", "--seconds", "0"], ["/var/tmp", "--seconds", "601"],
      ["/var/tmp", "--seconds", "x"], ["/var/tmp", "--size", "1MiB"],
      ["/var/tmp", "--size", "2TiB"],
      ["/var/tmp", "--engine", "none"],
    ])
  func usage(arguments: [String]) throws {
    for form in [["--json"], []] {
      let process = try ToolProcess("kvctl", ["probe"] + arguments + form)
      let ended = process.end()
      #expect(ended.status == 64, "\(arguments): \(ended.errors)")
      #expect(ended.output.isEmpty)
      if !form.isEmpty { #expect(try ended.error["code"] == "usage") }
    }
  }

  @Test("Help begins with examples and names the path")
  func help() throws {
    let help = try ToolProcess.kvctl("probe", "--help").text
    let examples = try #require(help.range(of: "EXAMPLES:"))
    let usage = try #require(help.range(of: "USAGE:"))
    #expect(examples.lowerBound < usage.lowerBound)
    #expect(help.contains("  <path>"))
    #expect(help.contains("OVERWRITES"))
    #expect(try ToolProcess.kvctl("--help").text.contains("probe"))
  }
}
