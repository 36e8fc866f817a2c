import Console
import Foundation
import Testing

/// What an error looks like: one object with `--json`, and words that help without it.
@Suite struct ErrorFormTests {
  /// A store with a damaged record, which was closed or killed.
  private func damagedStore(in place: Workplace, isClosed: Bool) throws -> String {
    let store = try place.store()
    let value = (0..<64).map { _ in UInt8.random(in: 128...255) }
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = shell.line()
    shell.send(
      Array("{\"op\":\"put\",\"key\":\"k\",\"valueB64\":\"\(Base64.encode(value))\"}\n".utf8))
    #expect(shell.line() != nil)
    if isClosed { #expect(shell.end().status == 0) } else { shell.sendSIGKILL() }
    if !isClosed { _ = shell.end() }
    // More frames behind it, and a checkpoint, so that the damage is met only when it is read.
    if isClosed {
      let more = try ToolProcess("kvctl", ["shell", store, "--json"])
      more.send(Array("{\"op\":\"put\",\"key\":\"l\",\"value\":\"w\"}\n".utf8))
      more.send(Array("{\"op\":\"checkpoint\"}\n".utf8))
      #expect(more.end().status == 0)
      #expect(try place.damage("store", at: value) == 1)
    }
    return store
  }

  @Test("With --json an error is one object on standard error, and nothing else is there")
  func oneObject() throws {
    let place = try Workplace()
    let store = try damagedStore(in: place, isClosed: true)
    let got = try ToolProcess.kvctl("get", store, "k", "--json", "--allow-degraded")
    #expect(got.status == 20, "\(got.errors)")
    let lines = try got.errorLines
    #expect(lines.count == 1, "\(got.errors)")
    #expect(lines.first?["ok"] == false)
    let dumped = try ToolProcess.kvctl("dump", store, "--json", "-q", "--allow-degraded")
    #expect(try dumped.errorLines.count <= 1, "\(dumped.errors)")
    let folder = place.path("tree")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try place.write([1], to: "tree/k")
    let verified = try ToolProcess.kvctl(
      "verify", store, "--directory", folder, "--json", "--allow-degraded")
    #expect(verified.status == 20)
    #expect(try verified.errorLines.allSatisfy { $0["event"] == "open" }, "\(verified.errors)")
    let request = Array("{\"op\":\"get\",\"key\":\"k\"}\n".utf8)
    let shell = try ToolProcess.kvctl(
      "shell", store, "--json", "--allow-degraded", input: request)
    #expect(shell.errors.isEmpty, "\(shell.errors)")
    // Asked for, the log comes as objects.
    let verbose = try ToolProcess.kvctl("get", store, "k", "--json", "-v", "--allow-degraded")
    #expect(try verbose.errorLines.contains { $0["event"] == "log" }, "\(verbose.errors)")
  }

  @Test("A recovered open is told within the error, or alone where none follows")
  func recoveredOpen() throws {
    let place = try Workplace()
    let store = try damagedStore(in: place, isClosed: false)
    let found = try ToolProcess.kvctl("get", store, "k", "--json")
    #expect(found.status == 0)
    #expect(
      try found.errorLines == [
        ["ok": true, "event": "open", "outcome": "recovered", "droppedRecords": 0]
      ])
    let long = String(repeating: "k", count: 4097)
    let failed = try ToolProcess.kvctl("put", store, long, "v", "--json")
    #expect(failed.status == 1)
    let lines = try failed.errorLines
    #expect(lines.count == 1, "\(failed.errors)")
    #expect(lines.first?["code"] == "tooLarge")
    #expect(lines.first?["open"] == ["outcome": "recovered", "droppedRecords": 0])
  }

  @Test("A missing folder is named, with how to make it")
  func missingFolder() throws {
    let place = try Workplace()
    let made = try ToolProcess.kvctl("create", place.path("no/such/store"), "--size", "4MiB")
    #expect(made.status == 30)
    #expect(made.errors.contains("there is no directory \(place.path("no/such"))"))
    #expect(made.errors.contains("mkdir -p"))
  }

  @Test(
    "What an option takes stands in its error",
    arguments: [
      (["--size", "64MB"], "KiB, MiB, GiB or TiB"), (["--size", "1.5MiB"], "a whole number"),
      (["--size", "-1"], "'-1'"), (["--size", "99999999TiB"], "16777216TiB"),
      (["--size", "4MiB", "--wait", "-1"], "-1"),
      (["--size", "4MiB", "--memory-budget", "999999TiB"], "between 8MiB and 1TiB"),
      (["--size", "4MiB", "--shards", "65"], "between 1 and 64"),
      (["--size", "4MiB", "--engine", "foo"], "'aio', 'threads' or 'uring'"),
    ])
  func options(arguments: [String], words: String) throws {
    let place = try Workplace()
    let all = ["create", place.path("s")] + arguments
    let plain = try ToolProcess("kvctl", all).end()
    #expect(plain.status == 64)
    #expect(plain.errors.contains(words), "\(plain.errors)")
    let json = try ToolProcess("kvctl", all + ["--json"]).end()
    let message = try json.error["message"]?.text ?? ""
    #expect(message.contains(words), "\(message)")
    #expect(message.contains("Usage: kvctl create STORE --size SIZE"), "\(message)")
    #expect(!FileManager.default.fileExists(atPath: place.path("s")))
  }

  @Test("Errors name what they are about, and what helps")
  func remedies() throws {
    let place = try Workplace()
    let store = try place.store()
    try place.write([1, 2, 3], to: "short")
    let cases: [(arguments: [String], status: Int32, words: String)] = [
      (["put", store, "", "v"], 1, "the key is empty"),
      (["load", store, "--jsonl", place.folder], 1, "\(place.folder) is a directory"),
      (["put", store, "k", "@nope"], 1, "because of the @"),
      (["put", store, "k", "@"], 64, "@FILE"), (["get", place.path("short"), "k"], 30, "check"),
      (["put", store, "k", "v", "--memory-budget", "1KiB"], 32, "at least 8 MiB"),
      (["put", store, "k", "v", "--memory-budget", "1KiB"], 32, "--memory-budget"),
    ]
    for (arguments, status, words) in cases {
      let ended = try ToolProcess("kvctl", arguments).end()
      #expect(ended.status == status, "\(arguments): \(ended.errors)")
      #expect(ended.errors.contains(words), "\(arguments): \(ended.errors)")
    }
  }

  private func shell(_ script: String) throws -> (status: Int32, errors: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", script]
    let errors = Pipe()
    process.standardError = errors
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let said = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: said, as: UTF8.self))
  }

  @Test("Output that cannot be written is an error, and a closed one never another file")
  func output() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    let before = place.bytes(of: "store")
    let kvctl = ToolProcess.folder + "/kvctl"
    for redirection in [">/dev/full", ">&-"] {
      let ended = try shell("\(kvctl) dump \(store) \(redirection)")
      #expect(ended.status == 1, "\(ended.errors)")
      #expect(ended.errors.contains("standard output"), "\(ended.errors)")
    }
    #expect(place.bytes(of: "store") == before)
    #expect(try shell("\(kvctl) put \(store) k w >&- 2>&- <&-").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "w")
  }

  @Test("A limit of the process is a limit: 32")
  func fileSizeLimit() throws {
    let place = try Workplace()
    let ended = try shell(
      "ulimit -f 1000; \(ToolProcess.folder)/kvctl create \(place.path("s")) --size 16MiB")
    #expect(ended.status == 32, "\(ended.errors)")
    #expect(ended.errors.contains("ulimit -f"), "\(ended.errors)")
    #expect(!FileManager.default.fileExists(atPath: place.path("s")))
  }
}
