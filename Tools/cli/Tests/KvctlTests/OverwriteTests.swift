import Console
import Foundation
import Testing

/// kvbench overwrite in its smallest form, beside programs that stand for peers. No time is
/// asserted.
@Suite struct OverwriteTests {
  private static let latency =
    #"{"count":9,"p50Nanoseconds":1000,"p99Nanoseconds":2000,"p999Nanoseconds":3000,"#
    + #""maximumNanoseconds":4000}"#

  private static func phase(_ name: String, puts: Int) -> String {
    #"{"phase":{"phase":"\#(name)","seconds":2,"putCount":\#(puts),"getCount":0,"#
      + #""puts":\#(latency),"gets":\#(latency),"cpuSeconds":1,"writtenByteCount":31200,"#
      + #""writtenByteCounts":{},"diskByteCount":10000}}"#
  }

  /// A kvpeer with three stores: one that works, one that is full, one that dies.
  private static let script = """
    #!/usr/bin/env bash
    case $1 in
      --list) printf 'good\\nfull\\ndead\\n'; exit 0 ;;
    esac
    echo '{"opened":{"name":"'"$1"' 1.0","configuration":"none"}}'
    echo '\(phase("load", puts: 10_000))'
    [ "$1" != dead ] || kill -KILL $$
    if [ "$1" = full ]; then
      echo '\(phase("measured", puts: 7))'
      echo '{"failed":{"code":"full","message":"no room"}}'
    else
      echo '{"second":{"phase":"measured","nanoseconds":1000000000,"putCount":4,"getCount":0,\
    "writtenByteCount":1,"cpuSeconds":0.5,"diskByteCount":20000}}'
      echo '{"second":{"phase":"measured","nanoseconds":2000000000,"putCount":16,"getCount":0,\
    "writtenByteCount":1,"cpuSeconds":0.5,"diskByteCount":20000}}'
      echo '\(phase("measured", puts: 10))'
    fi
    echo '{"closed":{"verifiedKeyCount":9,"peakResidentByteCount":1048576,"diagnostics":""}}'
    """

  private func bench(
    _ place: Workplace, _ arguments: String..., peers: Bool = true
  ) throws -> ToolProcess.Ended {
    let program = place.path("kvpeer")
    try place.write(Array(Self.script.utf8), to: "kvpeer")
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    let quick = [
      "--at", place.path(""), "--keys", "10000", "--share", "10", "--warm-up", "0.05", "--fills",
      "0.1", "--memory-budget", "16MiB", "--rounds", "1", "--fio", "/nonexistent",
    ]
    let other = peers ? ["--kvpeer", program] : ["--peer", "none"]
    return try ToolProcess("kvbench", ["overwrite"] + quick + other + arguments).end()
  }

  private func number(_ json: JSONValue?) -> Double? {
    switch json {
    case .number(let value): value
    case .integer(let value): Double(value)
    default: nil
    }
  }

  @Test("Varve beside a peer: figures, ratios, every round in the file, and nothing left behind")
  func besidePeer() throws {
    let place = try Workplace()
    let ended = try bench(
      place, "--peer", "good", "--reads", "25", "--zipf", "0.99", "--rounds", "2", "--json",
      place.path("result.json"))
    #expect(ended.status == 0, "\(ended.errors) \(ended.text)")
    for word in ["varve / good", "median second", "get p99.9 µs", "put max µs", "zipf 0.99"] {
      #expect(ended.text.contains(word), "\(word) is missing in \(ended.text)")
    }
    let json = try JSONParser.parse(place.bytes(of: "result.json"))
    #expect(json["ok"]?.bool == true)
    let peer = json["figures"]?["good"]
    #expect(number(peer?["medianSecond"]?["median"]) == 6)
    #expect(number(peer?["worstShare"]?["median"]) == 4.0 / 6)
    #expect(number(peer?["writeAmplification"]?["median"]) == 3)
    #expect(number(peer?["putP99Microseconds"]?["median"]) == 2)
    #expect(number(peer?["peakResidentMebibytes"]?["median"]) == 1)
    let own = json["figures"]?["varve"]
    let rate = try #require(number(own?["operationsPerSecond"]?["median"]))
    #expect(rate > 0)
    // The peer did 5 a second in both rounds, so the median of two ratios is that of two rates.
    let ratio = try #require(number(json["ratios"]?["good"]?["operationsPerSecond"]?["median"]))
    #expect(abs(ratio * 5 - rate) < rate / 1e6)
    let rounds = try #require(json["rounds"]?.elements)
    let orders = rounds.map { ($0["runs"]?.elements ?? []).compactMap { $0["store"]?.text } }
    #expect(orders == [["varve", "good"], ["good", "varve"]])
    let report = rounds[0]["runs"]?.elements?[0]["report"]
    #expect(report?["failure"] == nil)
    #expect(number(report?["closed"]?["verifiedKeyCount"]) == 1000)
    let measured = report?["phases"]?["measured"]
    let (puts, gets) = (number(measured?["putCount"]) ?? 0, number(measured?["getCount"]) ?? 0)
    #expect(puts > 0 && gets > 0 && gets < puts)
    #expect((number(measured?["writtenByteCounts"]?["frames"]) ?? 0) > 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: place.path(""))
    #expect(names.sorted() == ["kvpeer", "result.json"])
  }

  @Test("A peer that is full or dies is a failure of its run, and the others are measured")
  func failures() throws {
    let place = try Workplace()
    let ended = try bench(place, "--json", place.path("result.json"))
    #expect(ended.status == 1)
    let json = try JSONParser.parse(place.bytes(of: "result.json"))
    #expect(json["ok"]?.bool == false)
    let failures = (json["failures"]?.elements ?? []).compactMap(\.text)
    #expect(
      failures == [
        "full, round 1: full after 7 operations of phase measured: no room",
        "dead, round 1: died after 10000 operations of phase load: the process ended with signal 9",
      ])
    for failure in failures { #expect(ended.text.contains("FAILED: " + failure.prefix(40))) }
    #expect(json["figures"]?["full"]?["operationsPerSecond"] == nil)
    #expect(json["figures"]?["varve"]?["operationsPerSecond"] != nil)
    #expect(json["ratios"]?["good"]?["operationsPerSecond"] != nil)
  }

  @Test("A load of nearly all that the store is said to hold fits", arguments: ["10000", "60000"])
  func capacity(keys: String) throws {
    let place = try Workplace()
    let ended = try bench(
      place, "--keys", keys, "--share", "98", "--warm-up", "0", "--fills", "0.001", peers: false)
    #expect(ended.status == 0, "\(ended.text)")
    #expect(ended.text.contains("load, puts a second"))
  }

  @Test(
    "Usage errors",
    arguments: [
      ["--keys", "10"], ["--share", "0"], ["--reads", "100"], ["--zipf", "0"],
      ["--executor", "none"], ["--memory-budget", "1MiB"], ["--fills", "0"],
    ])
  func usage(arguments: [String]) throws {
    #expect(try ToolProcess("kvbench", ["overwrite"] + arguments).end().status == 64)
  }

  @Test("A peer that nobody knows is named, and so is a program that is not there")
  func unknown() throws {
    let place = try Workplace()
    let unknown = try bench(place, "--peer", "other")
    #expect(unknown.status == 1)
    #expect(
      unknown.errors.contains("no peer 'other'") && unknown.errors.contains("good, full, dead"))
    let missing = try ToolProcess(
      "kvbench", ["overwrite", "--quick", "--kvpeer", "/nonexistent"]
    ).end()
    #expect(missing.status == 1)
    #expect(missing.errors.contains("there is no program /nonexistent"))
  }

  @Test("Help says how to build the peers")
  func help() throws {
    let help = try ToolProcess("kvbench", ["overwrite", "--help"]).end().text
    #expect(help.contains("swift build -c release --package-path Tools/peers"))
    #expect(help.contains("apt install librocksdb-dev"))
  }
}
