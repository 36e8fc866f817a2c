import Console
import Foundation
import Testing

/// The example service, run as a person would.
@Suite struct SessionServiceTests {
  private func keyCount(_ store: String) throws -> Int64? {
    let stat = try ToolProcess.kvctl("stat", store, "--json")
    #expect(stat.status == 0, "\(stat.errors)")
    // A store that was drained needs no recovery.
    #expect(stat.errors.isEmpty, "\(stat.errors)")
    return try stat.json["stat"]?["keys"]?.integer
  }

  @Test("Many clients use one store, and what they began is there afterwards")
  func serves() throws {
    let place = try Workplace()
    let store = place.path("sessions")
    let ended = try ToolProcess(
      "session-service", [store, "--clients", "8", "--rounds", "40"]
    ).end()
    #expect(ended.status == 0, "\(ended.errors)")
    #expect(
      ended.text == """
        open \(store): 0 sessions
        closed: 320 begun, 960 visits, 64 ended

        """)
    #expect(try keyCount(store) == 256)
    let again = try ToolProcess("session-service", [store, "--rounds", "0"]).end()
    #expect(again.text.hasPrefix("open \(store): 256 sessions\n"))
  }

  @Test("SIGTERM drains the store: the next open is clean and has every session")
  func drains() throws {
    let place = try Workplace()
    let store = place.path("sessions")
    let service = try ToolProcess("session-service", [store])
    #expect(service.line() != nil)
    kill(service.processID, SIGTERM)
    let ended = service.end()
    #expect(ended.status == 0, "\(ended.status) \(ended.errors)")
    let numbers = ended.text.split { !$0.isNumber }.compactMap { Int64($0) }
    try #require(numbers.count == 3, "\(ended.text)")
    #expect(try keyCount(store) == numbers[0] - numbers[2])
  }

  @Test("A second instance takes over when the first leaves")
  func rollingRestart() throws {
    let place = try Workplace()
    let store = place.path("sessions")
    let first = try ToolProcess("session-service", [store])
    #expect(first.line() != nil)
    let second = try ToolProcess("session-service", [store, "--rounds", "1", "--clients", "1"])
    kill(first.processID, SIGTERM)
    #expect(first.end().status == 0)
    let ended = second.end()
    #expect(ended.status == 0, "\(ended.errors)")
    #expect(ended.text.contains("closed: 1 begun, 3 visits, 0 ended"))
  }

  @Test("What is no store is refused, and bad options are named")
  func refuses() throws {
    let place = try Workplace()
    try place.write([1, 2, 3], to: "file")
    #expect(try ToolProcess("session-service", [place.path("file")]).end().status == 30)
    #expect(place.bytes(of: "file") == [1, 2, 3])
    #expect(
      try ToolProcess("session-service", [place.path("s"), "--clients", "0"]).end().status == 64)
    #expect(!FileManager.default.fileExists(atPath: place.path("s")))
    let help = try ToolProcess("session-service", ["--help"]).end()
    #expect(help.status == 0)
    #expect(help.text.contains("EXAMPLES:"))
  }
}
