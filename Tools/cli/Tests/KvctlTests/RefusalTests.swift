import Console
import Foundation
import Testing

@Suite struct RefusalTests {
  /// Every command that opens a store that should be there, with its arguments.
  static let commands: [[String]] = [
    ["info"], ["get", "k"], ["put", "k", "v"], ["del", "k"], ["dump"], ["stat"], ["segments"],
    ["recover"],
    ["recover", "--plan"], ["resize", "--size", "1GiB"], ["resize", "--dry-run"],
    ["shell", "--json"], ["load", "--directory", "/usr/share/misc"],
    ["verify", "--directory", "/usr/share/misc"],
  ]

  private func run(_ command: [String], on path: String) throws -> ToolProcess.Ended {
    let process = try ToolProcess("kvctl", [command[0], path] + command.dropFirst() + ["--json"])
    return process.end()
  }

  @Test("What is no store is refused by every command and left as it was", arguments: commands)
  func notAStore(command: [String]) throws {
    let command = command.filter { $0 != "--json" }
    let place = try Workplace()
    var generator = SystemRandomNumberGenerator()
    let images: [String: [UInt8]] = [
      "empty": [], "short": [1, 2, 3], "zeros": [UInt8](repeating: 0, count: 4 << 20),
      "random": (0..<(1 << 20)).map { _ in generator.next() },
      "text": Array(String(repeating: "no store\n", count: 500_000).utf8),
    ]
    for (name, bytes) in images {
      try place.write(bytes, to: name)
      let ended = try run(command, on: place.path(name))
      #expect(ended.status == 30, "\(command) on \(name): \(ended.status) \(ended.errors)")
      #expect(try ended.error["ok"] == false)
      #expect(try ended.error["message"]?.text?.isEmpty == false)
      #expect(place.bytes(of: name) == bytes, "\(command) changed \(name)")
    }
    mkfifo(place.path("fifo"), 0o600)
    symlink(place.path("zeros"), place.path("link"))
    for name in ["none", "fifo", "link", ".", "no/such/folder"] {
      let ended = try run(command, on: place.path(name))
      #expect(ended.status == 30, "\(command) on \(name): \(ended.status) \(ended.errors)")
    }
  }

  @Test("create refuses what exists, and what is no file")
  func createRefuses() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    let existing = try ToolProcess.kvctl("create", store, "--size", "16MiB", "--json")
    #expect(existing.status == 30)
    #expect(try existing.error["message"]?.text?.contains("--force") == true)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
    #expect(try ToolProcess.kvctl("create", store, "--size", "16MiB", "--force").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").status == 1)
    mkfifo(place.path("fifo"), 0o600)
    symlink(place.path("target"), place.path("link"))
    for name in [".", "fifo", "link", "no/such/folder/store"] {
      let made = try ToolProcess.kvctl("create", place.path(name), "--size", "16MiB", "--force")
      #expect(made.status == 30, "\(name): \(made.status) \(made.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: place.path("target")))
    #expect(try ToolProcess.kvctl("create", "/dev/null", "--size", "16MiB", "--force").status == 30)
  }

  @Test("create makes a file of its size with mode 0600, whatever the umask")
  func createMakes() throws {
    let place = try Workplace()
    let made = try ToolProcess.kvctl(
      "create", place.path("s"), "--size", "64MiB", "--segment-size", "256KiB", "--label", "carts",
      "--json")
    #expect(made.status == 0)
    #expect(try made.json["deviceBytes"]?.integer == 64 << 20)
    #expect(try made.json["segmentBytes"]?.integer == 256 << 10)
    #expect(try made.json["label"] == "carts")
    var status = stat()
    #expect(stat(place.path("s"), &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o600)
    #expect(status.st_size == 64 << 20)
    // Preallocated: later writes find their blocks.
    #expect(Int(status.st_blocks) * 512 >= 64 << 20)
  }

  @Test("create refuses sizes that make no store, and leaves no file")
  func createSizes() throws {
    let place = try Workplace()
    let bad = [
      ["--size", "1MiB"], ["--size", "64"], ["--size", "x"], ["--size", "64MB"], [],
      ["--size", "16MiB", "--segment-size", "100000"],
      ["--size", "16MiB", "--segment-size", "16KiB"],
      ["--size", "16MiB", "--segment-size", "1GiB"], ["--size", "4MiB", "--segment-size", "4MiB"],
      ["--size", "16MiB", "--label", String(repeating: "l", count: 65)],
    ]
    for arguments in bad {
      let ended = try ToolProcess("kvctl", ["create", place.path("s")] + arguments).end()
      #expect(ended.status == 64, "\(arguments): \(ended.status) \(ended.errors)")
      #expect(!FileManager.default.fileExists(atPath: place.path("s")), "\(arguments)")
    }
  }

  @Test("More than the disk holds: an error that says so, and no file is left")
  func createTooLarge() throws {
    let place = try Workplace()
    let ended = try ToolProcess.kvctl("create", place.path("s"), "--size", "9000TiB", "--json")
    #expect([1, 30, 32, 64].contains(ended.status), "\(ended.status)")
    #expect(try ended.error["message"]?.text?.isEmpty == false)
    #expect(!FileManager.default.fileExists(atPath: place.path("s")))
  }

  @Test("A store in use: 31 for whoever writes, at once; info shows it as live")
  func inUse() throws {
    let place = try Workplace()
    let store = try place.store()
    let holder = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = holder.line()
    for command in Self.commands
    where !["info", "segments", "recover"].contains(command[0]) && !command.contains("--dry-run") {
      let ended = try run(command.filter { $0 != "--json" }, on: store)
      #expect(ended.status == 31, "\(command): \(ended.status) \(ended.errors)")
      #expect(try ended.error["code"] == "inUse")
      #expect(try ended.error["message"]?.text?.contains("process \(holder.processID)") == true)
    }
    #expect(try ToolProcess.kvctl("recover", store).status == 31)
    #expect(try ToolProcess.kvctl("create", store, "--size", "16MiB", "--force").status == 31)
    let info = try ToolProcess.kvctl("info", store, "--json")
    #expect(info.status == 0)
    #expect(try info.json["live"] == true)
    #expect(try info.json["holderPid"]?.integer == Int64(holder.processID))
    holder.send(Array("{\"op\":\"close\"}\n".utf8))
    #expect(holder.end().status == 0)
    #expect(try ToolProcess.kvctl("put", store, "k", "v", "--wait", "5").status == 0)
  }

  @Test("--wait takes over when the holder leaves")
  func waits() throws {
    let place = try Workplace()
    let store = try place.store()
    let holder = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = holder.line()
    let waiting = try ToolProcess("kvctl", ["put", store, "k", "v", "--wait", "60"])
    holder.send(Array("{\"op\":\"put\",\"key\":\"a\",\"value\":\"b\"}\n".utf8))
    #expect(holder.line() != nil)
    #expect(holder.end().status == 0)
    #expect(waiting.end().status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
    #expect(try ToolProcess.kvctl("get", store, "a").text == "b")
  }

  @Test("A store that was cut short is refused and left as it is")
  func shrunk() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    #expect(truncate(store, 8 << 20) == 0)
    for command in [["get", "k"], ["put", "k", "w"], ["recover"]] {
      #expect(try run(command, on: store).status == 30)
    }
  }

  @Test(
    "What comes with later versions is absent, and 64 says so",
    arguments: [
      ["compact"], ["compact", "s", "k"], ["check", "s"], ["inspect", "s"],
      ["explain", "s", "k"], ["scan", "s"], ["backup", "s"], ["restore", "s"],
      ["put", "s", "k", "v", "--ttl", "0"], ["resize", "s", "--shrink"],
      ["stat", "s", "--interval", "1"],
      ["stat", "s", "--watch", "--interval", "0"], ["stat", "s", "--prometheus", "--watch"],
      ["segments", "s", "--svg", ""],
      ["get", "s", "k", "--engine", "posix"], ["recover", "s", "--accept-loss"], ["nonsense"],
      ["get"], ["get", "a", "b", "c"], ["load", "s"],
      ["load", "s", "--directory", "a", "--jsonl", "b"],
      ["create"], ["put", "s", "k", "v", "--durability", "forever"],
      ["get", "s", "k", "--wait", "-1"],
    ])
  func absent(arguments: [String]) throws {
    let ended = try ToolProcess("kvctl", arguments).end()
    #expect(ended.status == 64, "\(ended.status) \(ended.errors)")
    #expect(ended.output.isEmpty)
    #expect(!ended.errors.isEmpty)
    let json = try ToolProcess("kvctl", arguments + ["--json"]).end()
    #expect(json.status == 64)
    #expect(try json.error["code"] == "usage")
  }

  @Test(
    "Help leads with examples, for every command",
    arguments: [
      "create", "info", "stat", "segments", "recover", "compact", "get", "put", "del", "load",
      "dump", "verify", "shell",
    ])
  func help(command: String) throws {
    let ended = try ToolProcess.kvctl(command, "--help")
    #expect(ended.status == 0)
    let examples = try #require(ended.text.range(of: "EXAMPLES:"))
    let options = try #require(ended.text.range(of: "OPTIONS:"))
    #expect(examples.lowerBound < options.lowerBound)
    #expect(ended.text.contains("kvctl \(command) "))
  }

  @Test("A store in memory warns or is refused")
  func memoryFileSystem() throws {
    let folder = "/dev/shm/varve-tests-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let ended = try ToolProcess.kvctl("create", folder + "/s", "--size", "16MiB")
    #expect(ended.status == 0 || ended.status == 30, "\(ended.status)")
    #expect(ended.errors.contains("tmpfs"), "\(ended.errors)")
  }
}
