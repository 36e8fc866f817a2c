import Foundation
import KeyLoad
import Measuring
import Testing

/// What a child says, as text and as a report.
@Suite struct LoadLineTests {
  private static let second = """
    {"second":{"phase":"measured","nanoseconds":2000000000,"putCount":1000,"getCount":500,\
    "writtenByteCount":4096,"cpuSeconds":0.5,"diskByteCount":8192}}
    """

  private static func phase(_ name: String, puts: UInt64) -> String {
    let latency =
      #"{"count":1,"p50Nanoseconds":1,"p99Nanoseconds":2,"p999Nanoseconds":3,"#
      + #""maximumNanoseconds":4}"#
    return #"{"phase":{"phase":"\#(name)","seconds":2,"putCount":\#(puts),"getCount":0,"#
      + #""puts":\#(latency),"gets":\#(latency),"cpuSeconds":1,"writtenByteCount":100,"#
      + #""writtenByteCounts":{"frames":60},"diskByteCount":10000}}"#
  }

  private func report(_ lines: [String]) throws -> LoadReport {
    var report = LoadReport()
    for line in lines { report.take(try LoadLine(text: line)) }
    return report
  }

  @Test("Lines come back as they were written, each on one line")
  func roundTrip() throws {
    let lines = [
      Self.second, Self.phase("load", puts: 7),
      #"{"opened":{"name":"RocksDB \"7\"","configuration":"a 1,\nb 2"}}"#,
      #"{"closed":{"verifiedKeyCount":9,"peakResidentByteCount":1,"diagnostics":"x\ny"}}"#,
      #"{"failed":{"code":"full","message":"no room"}}"#,
    ]
    for text in lines {
      let line = try LoadLine(text: text)
      let written = try line.text
      #expect(!written.contains("\n"))
      #expect(try LoadLine(text: written) == line)
    }
  }

  @Test("A member that a later version adds is passed over")
  func laterVersion() throws {
    let line = try LoadLine(text: #"{"failed":{"code":"full","message":"m","more":1}}"#)
    #expect(line == .failed(LoadFailure(code: "full", message: "m")))
  }

  @Test(
    "What is no line is refused",
    arguments: [
      "", "{}", "hello", #"{"second":{}}"#, #"{"other":{}}"#, #"{"failed":{"code":"full"}}"#,
      #"{"failed":{"code":"a","message":"b"},"closed":{}}"#,
    ])
  func refusals(text: String) {
    #expect(throws: LoadFailure.self) { try LoadLine(text: text) }
  }

  @Test("A report has the rates of a phase, per second of its length")
  func rates() throws {
    let report = try report([Self.second, Self.phase("measured", puts: 9), Self.second])
    #expect(report.rates(.measured) == [750, 750])
    #expect(report.rates(.load) == [])
    #expect(report.peakDiskByteCount == 10_000)
  }

  @Test("A phase without a whole second has its own rate")
  func shortPhase() throws {
    #expect(try report([Self.phase("measured", puts: 9)]).rates(.measured) == [4.5])
  }

  @Test("The first failure counts; a process that says nothing has died")
  func failures() throws {
    var failed = try report([
      #"{"failed":{"code":"full","message":"1"}}"#, #"{"failed":{"code":"io","message":"2"}}"#,
    ])
    failed.end(status: "exit code 0")
    #expect(failed.failure == LoadFailure(code: "full", message: "1"))
    var dead = try report([Self.second])
    #expect(dead.failure == nil)
    dead.end(status: "signal 9")
    #expect(dead.failure?.code == "died")
    #expect(dead.failure?.message.contains("signal 9") == true)
    let closing = #"{"closed":{"verifiedKeyCount":0,"peakResidentByteCount":1,"diagnostics":""}}"#
    var closed = try report([closing])
    closed.end(status: "exit code 0")
    #expect(closed.failure == nil)
  }

  @Test("A plan survives as an argument; what is none, or out of range, is refused")
  func plans() throws {
    var plan = LoadPlan(
      path: "/x y", storeByteCount: 1 << 40, memoryByteCount: 5, keyCount: .max / 2)
    plan.zipfExponent = 0.99
    plan.measuredOperationCount = nil
    plan.readShare = 0.25
    #expect(try LoadPlan(argument: plan.argument) == plan)
    #expect(throws: LoadFailure.self) { try LoadPlan(argument: "{}") }
    plan.readShare = 1
    #expect(throws: LoadFailure.self) { try LoadPlan(argument: plan.argument) }
  }

  @Test("A series: median, worst second, slow seconds")
  func series() {
    let series = RateSeries([100, 20, 90, 110, 95])
    #expect(series.median == 95)
    #expect(series.worst == 20)
    #expect(series.worstShare == 20.0 / 95)
    #expect(series.slowSecondCount == 1)
    #expect(RateSeries([10, 20]).median == 15)
    #expect(RateSeries([]).worstShare == 0)
  }
}
