import Console
import Foundation
import Testing
import Varve

/// `kvctl stat` of a store that runs.
@Suite struct StatTests {
  @Test("A running store is asked over its socket, by the path that is derived")
  func running() async throws {
    try await RunningStore.with { store, path, _ in
      try await RunningStore.fill(store, 0..<50)
      let ended = try ToolProcess.kvctl("stat", path, "--json")
      #expect(ended.status == 0 && ended.errors.isEmpty, "\(ended.errors)")
      let json = try ended.json
      #expect(json["live"] == true)
      for metric in StoreMetric.all {
        #expect(json["stat"]?[metric.name]?.integer != nil, "\(metric.name)")
      }
      #expect(json["stat"]?["keys"]?.integer == 50)
      #expect(json["stat"]?["puts"]?.integer == 50)
      #expect(json["stat"]?["health"] == "healthy")
      let text = try ToolProcess.kvctl("stat", path).text
      #expect(text.hasPrefix("in use: told by its process over \(path).sock\n"))
      #expect(text.contains("50, and 0 tombstones"))
    }
  }

  @Test("--socket names another path; without one the error says what to do")
  func elsewhere() async throws {
    try await RunningStore.with(socketPath: "elsewhere") { store, path, place in
      let ended = try ToolProcess.kvctl("stat", path, "--json")
      #expect(ended.status == 31)
      #expect(try ended.error["code"] == "inUse")
      let message = try #require(try ended.error["message"]?.text)
      for part in ["process \(getpid())", "statisticsSocketPath", "--socket", path + ".sock"] {
        #expect(message.contains(part), "\(message)")
      }
      #expect(try ToolProcess.kvctl("stat", path, "--watch").status == 31)
      let asked = try ToolProcess.kvctl("stat", path, "--socket", place.path("elsewhere"))
      #expect(asked.status == 0, "\(asked.errors)")
      _ = store
    }
  }

  @Test("The socket of another store is not taken for this one's")
  func foreign() async throws {
    try await RunningStore.with { _, path, _ in
      let place = try Workplace()
      let other = try place.store()
      let asked = try ToolProcess.kvctl("stat", other, "--socket", path + ".sock", "--json")
      // It is not in use, so it can be opened.
      #expect(asked.status == 0, "\(asked.errors)")
      #expect(try asked.json["live"] == false)
      let holder = try ToolProcess("kvctl", ["shell", other, "--json"])
      _ = holder.line()
      let held = try ToolProcess.kvctl("stat", other, "--socket", path + ".sock", "--json")
      #expect(held.status == 31)
      #expect(try held.error["message"]?.text?.contains("another store answers") == true)
      #expect(holder.end().status == 0)
    }
  }

  @Test("What is left of a killed service is no answer, and the store is opened")
  func stale() throws {
    let place = try Workplace()
    let store = place.path("sessions")
    let service = try ToolProcess("session-service", [store])
    #expect(service.line() != nil)
    #expect(try ToolProcess.kvctl("stat", store, "--json").json["live"] == true)
    service.sendSIGKILL()
    _ = service.end()
    #expect(FileManager.default.fileExists(atPath: store + ".sock"))
    let stat = try ToolProcess.kvctl("stat", store, "--json", "-q")
    #expect(stat.status == 0, "\(stat.errors)")
    #expect(try stat.json["live"] == false)
    let again = try ToolProcess("session-service", [store, "--rounds", "0"]).end()
    #expect(again.status == 0 && again.errors.isEmpty, "\(again.errors)")
    #expect(!FileManager.default.fileExists(atPath: store + ".sock"))
  }

  @Test("--watch shows rates until the store is closed")
  func watch() throws {
    let place = try Workplace()
    let store = place.path("sessions")
    let service = try ToolProcess("session-service", [store])
    #expect(service.line() != nil)
    let arguments = ["stat", store, "--watch", "--interval", "0.1"]
    let watch = try ToolProcess("kvctl", arguments + ["--json"])
    let first = try JSONParser.parse(try #require(watch.line()))
    #expect(first["live"] == true && first["rates"] == nil)
    var sum = 0.0
    for _ in 0..<5 {
      let next = try JSONParser.parse(try #require(watch.line()))
      guard case .number(let seconds)? = next["seconds"],
        case .number(let rate)? = next["rates"]?["gets"]
      else {
        Issue.record("\(next)")
        break
      }
      #expect(seconds > 0 && rate >= 0)
      sum += rate
    }
    #expect(sum > 0)
    let text = try ToolProcess("kvctl", arguments)
    #expect(text.line().map { String(decoding: $0, as: UTF8.self) }?.hasPrefix("in use") == true)
    service.send(signal: SIGTERM)
    #expect(service.end().status == 0)
    let ended = watch.end()
    #expect(ended.status == 0)
    #expect(ended.errors.contains("the store was closed"))
    let textEnded = text.end()
    #expect(textEnded.status == 0)
    #expect(textEnded.text.contains("a second") && !textEnded.text.contains("\u{1B}"))
  }

  @Test("There is nothing to watch in a store that nobody has open")
  func nothingToWatch() throws {
    let place = try Workplace()
    let ended = try ToolProcess.kvctl("stat", try place.store(), "--watch", "--json")
    #expect(ended.status == 1)
    #expect(try ended.error["code"] == "notInUse")
  }

  /// One sample of the exposition format.
  private struct Sample {
    var kind = ""
    var help = ""
    var label = ""
    var value = 0.0
  }

  /// Reads the format as its grammar has it: HELP, TYPE, then the sample of that name.
  private func samples(_ text: String) throws -> [String: Sample] {
    var samples: [String: Sample] = [:]
    let comment = #/# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)/#
    let sample = #/([a-zA-Z_:][a-zA-Z0-9_:]*)\{store="((?:[^"\\]|\\["\\n])*)"\} ([-+.e0-9]+)/#
    var last = ""
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
      if let match = line.wholeMatch(of: comment) {
        last = String(match.2)
        if match.1 == "HELP" {
          #expect(samples[last] == nil, "\(line)")
          samples[last] = Sample(help: String(match.3))
        } else {
          samples[last]?.kind = String(match.3)
        }
      } else {
        let match = try #require(line.wholeMatch(of: sample), "\(line)")
        #expect(match.1 == last, "\(line)")
        samples[last]?.label = String(match.2)
        samples[last]?.value = try #require(Double(match.3))
      }
    }
    return samples
  }

  @Test("--prometheus prints every number with its help and its kind")
  func prometheus() async throws {
    try await RunningStore.with(label: "a \"b\" \\ c") { store, path, _ in
      try await RunningStore.fill(store, 0..<20)
      let ended = try ToolProcess.kvctl("stat", path, "--prometheus")
      #expect(ended.status == 0 && ended.text.hasSuffix("\n"))
      let samples = try samples(ended.text)
      let names = StoreMetric.all.map(\.metricName)
      #expect(
        Set(samples.keys) == Set(names + ["varve_health", "varve_recovery_duration_seconds"]))
      #expect(samples.values.allSatisfy { ["counter", "gauge"].contains($0.kind) })
      #expect(samples.values.allSatisfy { $0.label == #"a \"b\" \\ c"# && !$0.help.isEmpty })
      #expect(samples["varve_puts_total"]?.value == 20)
      #expect(samples["varve_puts_total"]?.kind == "counter")
      #expect(samples["varve_keys"]?.value == 20 && samples["varve_keys"]?.kind == "gauge")
      #expect(samples["varve_health"]?.value == 0)
    }
    let place = try Workplace()
    let store = try place.store()
    let uuid = try #require(try ToolProcess.kvctl("info", store, "--json").json["uuid"]?.text)
    let closed = try samples(try ToolProcess.kvctl("stat", store, "--prometheus").text)
    #expect(closed["varve_keys"]?.label == uuid)
  }
}
