import Console
import Foundation
import Testing

/// What a probe says and leaves, on directories and files. No time is asserted.
@Suite struct ProbeTests {
  /// Short measurements of little data.
  static let quick = ["--seconds", "0.01", "--size", "4MiB"]

  static func probe(_ arguments: [String], input: String = "") throws -> ToolProcess.Ended {
    let process = try ToolProcess("kvctl", ["probe"] + arguments + quick)
    process.send(Array(input.utf8))
    return process.end()
  }

  static let members = [
    "ok", "path", "kind", "sizeBytes", "measuredBytes", "wrote", "fileSystem", "blockDevice",
    "rotational", "live", "holderPid", "directIO", "alignment", "writeCache", "fua", "atomicWrite",
    "discardGranularityBytes",
    "aioRequests", "engines", "measurements", "warnings", "distortions",
  ]
  static let measurementMembers = [
    "engine", "operation", "requestBytes", "depth", "requests", "seconds", "requestsPerSecond",
    "roundsRequestsPerSecond", "bytesPerSecond", "p50Nanoseconds", "p99Nanoseconds",
    "p999Nanoseconds", "maximumNanoseconds", "submitShare",
  ]

  private func names(_ value: JSONValue?) -> [String] {
    guard case .object(let members)? = value else { return [] }
    return members.map(\.name)
  }

  private func contents(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder)
  }

  @Test("A directory: every kind of load on every engine, and nothing left")
  func directory() throws {
    let place = try Workplace()
    let ended = try Self.probe([place.folder, "--json"])
    #expect(ended.status == 0, "\(ended.errors)")
    #expect(ended.errors.isEmpty)
    let json = try ended.json
    #expect(names(json) == Self.members)
    #expect(json["kind"] == "directory")
    #expect(json["wrote"] == true)
    #expect(json["measuredBytes"]?.integer == 4 << 20)
    let engines = json["engines"]?.elements ?? []
    #expect(engines.contains("threads"))
    let measurements = json["measurements"]?.elements ?? []
    #expect(measurements.count == engines.count * 9)
    for measurement in measurements {
      #expect(names(measurement) == Self.measurementMembers)
      #expect(measurement["requests"]?.integer ?? 0 > 0)
      #expect(measurement["roundsRequestsPerSecond"]?.elements?.count == 2)
      let percentiles = ["p50", "p99", "p999", "maximum"].map {
        measurement[$0 + "Nanoseconds"]?.integer ?? -1
      }
      #expect(percentiles == percentiles.sorted() && percentiles[0] > 0)
    }
    for engine in engines {
      let depths = measurements.filter {
        $0["engine"] == engine && $0["operation"] == "randomRead"
      }.compactMap { $0["depth"]?.integer }
      #expect(depths == [1, 8, 32, 128])
    }
    let codes = json["warnings"]?.elements?.compactMap { $0["code"]?.text } ?? []
    #expect(codes.contains("smallRegion"))
    #expect(try contents(place.folder).isEmpty)
  }

  @Test("A report for people names the engines, the warnings and what bends the numbers")
  func text() throws {
    let place = try Workplace()
    let ended = try Self.probe([place.folder, "--engine", "threads"])
    #expect(ended.status == 0, "\(ended.errors)")
    for words in ["direct I/O", "write cache", "random 4 KiB reads", "p99.9", "WARNING"] {
      #expect(ended.text.contains(words), "\(words)")
    }
    #expect(!ended.text.contains("aio   "))
    #expect(!ended.text.contains(".kvctl-probe"))
    #expect(ended.text.split(separator: "\n").allSatisfy { $0.count <= 100 })
  }

  @Test("A probe that a signal ends leaves nothing", arguments: [SIGTERM, SIGINT])
  func signalled(signal: Int32) throws {
    let place = try Workplace()
    let process = try ToolProcess(
      "kvctl", ["probe", place.folder, "--json", "--seconds", "60", "--size", "4MiB"])
    // The file is there for a moment only; while the probe has it open, its link says "deleted".
    let deadline = ContinuousClock.now + .seconds(60)
    while !process.hasOpen("(deleted)"), ContinuousClock.now < deadline { sched_yield() }
    #expect(try contents(place.folder).isEmpty)
    process.send(signal: signal)
    let ended = process.end()
    #expect(ended.status == 128 + signal, "\(ended.errors)")
    #expect(ended.output.isEmpty)
    #expect(try ended.error["code"] == "cancelled")
    #expect(try contents(place.folder).isEmpty)
  }

  @Test("A file is only read, and only where it holds data")
  func file() throws {
    let place = try Workplace()
    let data = [UInt8](repeating: 7, count: 6 << 20)
    try place.write(data + [UInt8](repeating: 0, count: 2 << 20), to: "file")
    #expect(truncate(place.path("file"), 16 << 20) == 0)
    let before = place.bytes(of: "file")
    let ended = try Self.probe([place.path("file"), "--engine", "threads", "--json"])
    #expect(ended.status == 0, "\(ended.errors)")
    let json = try ended.json
    #expect(json["kind"] == "file")
    #expect(json["wrote"] == false)
    #expect(json["sizeBytes"]?.integer == 16 << 20)
    #expect(json["measuredBytes"]?.integer == 6 << 20)
    let operations = Set(json["measurements"]?.elements?.compactMap { $0["operation"]?.text } ?? [])
    #expect(operations == ["randomRead", "sequentialRead"])
    let codes = json["warnings"]?.elements?.compactMap { $0["code"]?.text } ?? []
    #expect(codes.contains("emptyParts"))
    #expect(json["alignment"]?["writes512"] == .null)
    #expect(place.bytes(of: "file") == before)
  }

  @Test("A file without data says so, and measures nothing")
  func empty() throws {
    let place = try Workplace()
    try place.write([], to: "holes")
    #expect(truncate(place.path("holes"), 8 << 20) == 0)
    let ended = try Self.probe([place.path("holes"), "--json"])
    #expect(ended.status == 0, "\(ended.errors)")
    #expect(try ended.json["measurements"] == [])
    #expect(try ended.json["measuredBytes"]?.integer == 0)
    #expect(try Self.probe([place.path("holes")]).text.contains("no data to read"))
  }

  @Test("A store in use is read without disturbing whoever has it")
  func live() throws {
    let place = try Workplace()
    let store = try place.store()
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = shell.line()
    shell.send(Array("{\"op\":\"put\",\"key\":\"k\",\"value\":\"v\"}\n".utf8))
    #expect(shell.line() != nil)
    let json = try Self.probe([store, "--engine", "threads", "--json"]).json
    #expect(json["live"] == true)
    #expect(json["holderPid"]?.integer == Int64(shell.processID))
    // Writing wants the lock, whatever is typed.
    let refused = try Self.probe([store, "--write", "--json"], input: store + "\n")
    #expect(refused.status == 31, "\(refused.errors)")
    shell.send(Array("{\"op\":\"get\",\"key\":\"k\"}\n".utf8))
    #expect(String(decoding: shell.line() ?? [], as: UTF8.self).contains("\"v\""))
    #expect(shell.end().status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
  }
}
