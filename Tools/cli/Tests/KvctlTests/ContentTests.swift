import Console
import Foundation
import Testing

@Suite struct ContentTests {
  /// A tree with everything that a tree may hold.
  private func makeTree(in place: Workplace) throws -> String {
    let tree = place.path("tree")
    try FileManager.default.createDirectory(
      atPath: tree + "/a/b/c", withIntermediateDirectories: true)
    try place.write(Array("one".utf8), to: "tree/one")
    try place.write([], to: "tree/empty")
    try place.write((0..<9000).map { UInt8(truncatingIfNeeded: $0) }, to: "tree/a/b/c/deep")
    try place.write(Array("new\nline".utf8), to: "tree/a/name with\nnewline \"quoted\"")
    let name = (Array((tree + "/").utf8) + [0xFF, 0xFE, 0x41, 0]).map { CChar(bitPattern: $0) }
    let descriptor = open(name, O_CREAT | O_WRONLY, 0o600)
    try #require(descriptor >= 0)
    close(descriptor)
    symlink("one", tree + "/link")
    symlink("nowhere", tree + "/dangling")
    mkfifo(tree + "/fifo", 0o600)
    return tree
  }

  @Test("A tree is loaded, compared, dumped, and loaded again from the dump")
  func roundTrip() throws {
    let place = try Workplace()
    let store = try place.store()
    let tree = try makeTree(in: place)
    let loaded = try ToolProcess.kvctl("load", store, "--directory", tree, "--json")
    #expect(loaded.status == 0, "\(loaded.errors)")
    let result = try loaded.json
    #expect(result["event"] == "done")
    #expect(result["records"]?.integer == 5)
    #expect(result["skipped"]?["links"]?.integer == 2)
    #expect(result["skipped"]?["special"]?.integer == 1)
    let verified = try ToolProcess.kvctl("verify", store, "--directory", tree, "--json")
    #expect(verified.status == 0, "\(verified.text)")
    #expect(try verified.json["same"]?.integer == 5)
    let stat = try ToolProcess.kvctl("stat", store, "--json").json["stat"]
    #expect(stat?["keys"]?.integer == 5)
    // Counts as they are, also in a store that is open for reading.
    #expect((stat?["freeSegments"]?.integer ?? 0) > 200)
    // A share of five keys would say nothing, so people are not told one.
    #expect(try ToolProcess.kvctl("stat", store).text.contains("bytes a key") == false)
    #expect(try ToolProcess.kvctl("get", store, "fffe41", "--hex").status == 0)

    let dump = try ToolProcess.kvctl("dump", store)
    #expect(dump.status == 0)
    let lines = try dump.text.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
    #expect(lines.count == 5)
    #expect(Set(lines.compactMap { $0["keyB64"]?.text }).count == 5)
    #expect(lines.allSatisfy { ($0["seq"]?.integer ?? 0) > 0 })
    let copy = try place.store("copy")
    #expect(try ToolProcess.kvctl("load", copy, "--jsonl", "-", input: dump.output).status == 0)
    #expect(try ToolProcess.kvctl("verify", copy, "--directory", tree).status == 0)
  }

  @Test("verify names what differs and what is missing")
  func differences() throws {
    let place = try Workplace()
    let store = try place.store()
    let tree = try makeTree(in: place)
    #expect(try ToolProcess.kvctl("load", store, "--directory", tree, "-q").status == 0)
    try place.write(Array("two".utf8), to: "tree/one")
    try place.write([1], to: "tree/extra")
    let ended = try ToolProcess.kvctl("verify", store, "--directory", tree, "--json")
    #expect(ended.status == 1)
    #expect(try ended.json["differences"]?.integer == 2)
    let problems = ended.text.split(separator: "\n").filter { $0.contains("\"problem\"") }
    #expect(problems.contains { $0.contains("different") && $0.contains("\"path\":\"one\"") })
    #expect(problems.contains { $0.contains("missing") && $0.contains("\"path\":\"extra\"") })
    #expect(problems.count == 2)
  }

  @Test("A file over the limit stops the load by name, or is counted")
  func overLimit() throws {
    let place = try Workplace()
    let store = try place.store()
    let tree = try makeTree(in: place)
    try place.write([UInt8](repeating: 1, count: 17 << 20), to: "tree/huge")
    let stopped = try ToolProcess.kvctl("load", store, "--directory", tree, "--json")
    #expect(stopped.status == 1)
    #expect(try stopped.error["code"] == "tooLarge")
    #expect(try stopped.error["message"]?.text?.hasPrefix("huge: ") == true)
    let all = try ToolProcess.kvctl("load", store, "--directory", tree, "--skip-errors", "--json")
    #expect(all.status == 0)
    #expect(all.errors.contains("\"name\":\"huge\""))
    #expect(try all.json["skipped"]?["overLimit"]?.integer == 1)
    let verified = try ToolProcess.kvctl("verify", store, "--directory", tree, "--json")
    #expect(verified.status == 0)
    #expect(try verified.json["overLimit"]?.integer == 1)
    #expect(try ToolProcess.kvctl("load", store, "--directory", place.path("none")).status == 1)
  }

  @Test("Progress counts what can be stored, not what is over the limit or may not be read")
  func totalOfProgress() throws {
    let place = try Workplace()
    let store = try place.store()
    let tree = try makeTree(in: place)
    for index in 0..<30 {
      try place.write([UInt8](repeating: 1, count: 9000), to: "tree/f\(index)")
    }
    // Most of the bytes of the tree are in files that no store takes, whatever its segments are.
    try place.write([UInt8](repeating: 1, count: 17 << 20), to: "tree/huge")
    try place.write([UInt8](repeating: 1, count: 1 << 20), to: "tree/wide")
    try place.write([UInt8](repeating: 1, count: 20_000), to: "tree/closed")
    chmod(tree + "/closed", 0)
    let isReadable = access(tree + "/closed", R_OK) == 0
    let all = try ToolProcess.kvctl("load", store, "--directory", tree, "--skip-errors", "--json")
    #expect(all.status == 0, "\(all.errors)")
    let lines = try all.text.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
    let done = try #require(lines.last)
    #expect(done["skipped"]?["overLimit"]?.integer == 2)
    #expect(done["skipped"]?["unreadable"]?.integer == (isReadable ? 0 : 1))
    let progress = lines.filter { $0["event"] == "progress" }
    #expect(progress.count > 10)
    #expect(progress.allSatisfy { $0["totalBytes"]?.integer == done["bytes"]?.integer })
    // A line comes for each hundredth of the bytes.
    let shown = progress.last?["bytes"]?.integer ?? 0
    #expect(shown * 100 >= (done["bytes"]?.integer ?? .max) * 98)
  }

  @Test("A bad line stops the load by its number, and what came before it stays")
  func badLines() throws {
    let place = try Workplace()
    let store = try place.store()
    let lines = """
      {"key":"a","value":"1"}

      {"keyB64":"Yg==","valueB64":"/w=="}
      {"key":"a","value":"2"}
      {"key":"c"}
      {"key":"d","value":"4"}
      not json
      {"key":"","value":"5"}
      {"key":"e","keyB64":"ZQ==","value":"6"}
      """
    let input = Array(lines.utf8)
    let stopped = try ToolProcess.kvctl("load", store, "--jsonl", "-", "--json", input: input)
    #expect(stopped.status == 1)
    #expect(try stopped.error["message"]?.text?.hasPrefix("line 5: ") == true)
    #expect(try ToolProcess.kvctl("get", store, "a").text == "2")
    #expect(try ToolProcess.kvctl("get", store, "b").output == [255])
    #expect(try ToolProcess.kvctl("get", store, "d").status == 1)
    let all = try ToolProcess.kvctl(
      "load", store, "--jsonl", "-", "--skip-errors", "--json", input: input)
    #expect(all.status == 0)
    #expect(try all.json["skipped"]?["badLines"]?.integer == 4)
    #expect(try all.json["records"]?.integer == 4)
    #expect(try ToolProcess.kvctl("get", store, "d").text == "4")
  }

  @Test("A full store says so, keeps what it has, and takes deletes")
  func full() throws {
    let place = try Workplace()
    let store = try place.store(size: "4MiB")
    var lines: [UInt8] = []
    let value = Base64.encode((0..<3000).map { _ in UInt8.random(in: 0...255) })
    for index in 0..<3000 {
      lines += Array("{\"key\":\"k\(index)\",\"valueB64\":\"\(value)\"}\n".utf8)
    }
    try place.write(lines, to: "lines")
    let ended = try ToolProcess.kvctl("load", store, "--jsonl", place.path("lines"), "--json")
    #expect(ended.status == 1)
    #expect(try ended.error["code"] == "full")
    #expect(try ToolProcess.kvctl("put", store, "more", "@" + place.path("lines")).status == 1)
    #expect(try ToolProcess.kvctl("get", store, "k0").status == 0)
    #expect(try ToolProcess.kvctl("del", store, "k0", "--must-exist").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k0").status == 1)
    #expect(try ToolProcess.kvctl("stat", store).status == 0)
  }

  @Test("recover: 10 after a kill, 0 after a close; the plan changes nothing")
  func recovers() throws {
    let place = try Workplace()
    let store = try place.store()
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = shell.line()
    shell.send(Array("{\"op\":\"put\",\"key\":\"k\",\"value\":\"v\"}\n".utf8))
    #expect(shell.line() != nil)
    shell.sendSIGKILL()
    #expect(shell.end().status == 128 + SIGKILL)
    let before = place.bytes(of: "store")
    let plan = try ToolProcess.kvctl("recover", store, "--plan", "--json")
    #expect(plan.status == 0)
    #expect(try plan.json["clean"] == false)
    // A command that only reads recovers in memory: it reports, and writes nothing.
    let read = try ToolProcess.kvctl("get", store, "k")
    #expect(read.status == 0)
    #expect(read.text == "v")
    #expect(read.errors.contains("recovered"))
    #expect(place.bytes(of: "store") == before)
    let first = try ToolProcess.kvctl("recover", store, "--json")
    #expect(first.status == 10)
    #expect(try first.json["outcome"] == "recovered")
    #expect(try first.json["liveRecords"]?.integer == 1)
    #expect(try ToolProcess.kvctl("recover", store).status == 0)
    #expect(try ToolProcess.kvctl("recover", store, "--plan", "--json").json["clean"] == true)
  }
}
