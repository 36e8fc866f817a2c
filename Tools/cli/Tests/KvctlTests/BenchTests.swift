import Console
import Foundation
import Testing

/// kvbench io in its smallest form. No time is asserted.
@Suite struct BenchTests {
  private func bench(_ arguments: String...) throws -> ToolProcess.Ended {
    let quick = ["--seconds", "0.05", "--rounds", "1", "--depths", "2", "--size", "8MiB"]
    return try ToolProcess("kvbench", ["io"] + quick + arguments).end()
  }

  private static var hasFIO: Bool {
    FileManager.default.isExecutableFile(atPath: "/usr/bin/fio")
  }

  @Test(
    "Every engine beside its peer, on a file that is gone afterwards", arguments: [true, false])
  func ratios(withFIO: Bool) throws {
    guard Self.hasFIO || !withFIO else { return }
    let place = try Workplace()
    let ended = try bench(
      "--path", place.path("file"), "--fio", withFIO ? "fio" : "/nonexistent", "--json")
    #expect(ended.status == 0, "\(ended.errors)")
    let json = try ended.json
    #expect(json["peer"]?.text?.hasPrefix(withFIO ? "fio" : "loop-") == true)
    let measurements = json["measurements"]?.elements ?? []
    let engines = Set(measurements.compactMap { $0["engine"]?.text })
    #expect(engines.contains("threads"))
    #expect(measurements.count >= engines.count * 3)
    for measurement in measurements {
      for name in ["requestsPerSecond", "peerRequestsPerSecond", "ratio", "cpuMicroseconds"] {
        guard case .number(let median)? = measurement[name]?["median"] else {
          Issue.record("\(name) of \(measurement)")
          continue
        }
        #expect(median > 0)
      }
      #expect(measurement["goalRatio"] == .number(0.95))
      #expect(measurement["executor"]?.text?.isEmpty == false)
    }
    #expect(!FileManager.default.fileExists(atPath: place.path("file")))
  }

  @Test("A file that is there is only read, unless writing is allowed")
  func existing() throws {
    let place = try Workplace()
    let bytes = [UInt8](repeating: 7, count: 8 << 20)
    try place.write(bytes, to: "file")
    let read = try bench(
      "--path", place.path("file"), "--engine", "threads", "--fio", "/nonexistent")
    #expect(read.status == 0, "\(read.errors)")
    #expect(!read.text.contains("sequentialWrite"))
    #expect(read.text.contains("goals: ratio at least 0.95"))
    #expect(place.bytes(of: "file") == bytes)
    let written = try bench(
      "--path", place.path("file"), "--engine", "threads", "--fio", "/nonexistent", "--write")
    #expect(written.status == 0, "\(written.errors)")
    #expect(written.text.contains("sequentialWrite"))
    #expect(place.bytes(of: "file") != bytes)
  }

  @Test("How long submissions take, for every kind of file")
  func submissions() throws {
    let place = try Workplace()
    let ended = try ToolProcess(
      "kvbench",
      ["submissions", "--at", place.path(""), "--size", "1MiB", "--json", "--no-drop-caches"]
    ).end()
    #expect(ended.status == 0, "\(ended.errors)")
    guard case .array(let rows) = try ended.json["measurements"] else {
      throw ToolError.usage("no measurements: \(ended.text)")
    }
    #expect(rows.count == 4)
    #expect(rows.allSatisfy { $0["submissions"]?.integer == 256 })
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path("")).isEmpty)
  }

  @Test("Usage errors", arguments: [["--depths", "0"], ["--engine", "none"], ["--write"]])
  func usage(arguments: [String]) throws {
    #expect(try ToolProcess("kvbench", ["io"] + arguments).end().status == 64)
  }
}
