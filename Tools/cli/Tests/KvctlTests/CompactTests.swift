import Console
import Foundation
import Testing

/// `kvctl compact`, and the shell's operation.
@Suite struct CompactTests {
  /// A store of which every third key was written twice and some were deleted, and what is left.
  private func halfDead(_ place: Workplace) throws -> (path: String, values: [String: String]) {
    let store = try place.store()
    var values: [String: String] = [:]
    func load(_ numbers: some Sequence<Int>, _ letter: String) throws {
      let lines = numbers.map { number in
        // What does not compress.
        let words = (0..<120).map { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(number) &* 977 }
        let value = letter + words.map { String($0 &* $0, radix: 36) }.joined()
        values["k\(number)"] = value
        return "{\"key\":\"k\(number)\",\"value\":\"\(value)\"}\n"
      }
      let ended = try ToolProcess.kvctl(
        "load", store, "--jsonl", "-", "-q", input: Array(lines.joined().utf8))
      try #require(ended.status == 0, "\(ended.errors)")
    }
    try load(0..<2_000, "a")
    try load(stride(from: 0, to: 2_000, by: 3), "b")
    let deletes = stride(from: 1, to: 2_000, by: 3).map { number in
      values["k\(number)"] = nil
      return "{\"op\":\"del\",\"key\":\"k\(number)\",\"durability\":\"buffered\"}\n"
    }
    let shell = try ToolProcess.kvctl(
      "shell", store, "--json", input: Array(deletes.joined().utf8))
    try #require(shell.status == 0, "\(shell.errors)")
    // The tombstones lie in sealed segments: only there can they die.
    try load(2_000..<2_100, "c")
    return (store, values)
  }

  private func contents(_ store: String) throws -> [String: String] {
    var found: [String: String] = [:]
    for line in try ToolProcess.kvctl("dump", store).text.split(separator: "\n") {
      let record = try JSONParser.parse(Array(line.utf8))
      let texts = ["keyB64", "valueB64"].map { name in
        record[name]?.text.flatMap(Base64.decode).map { String(decoding: $0, as: UTF8.self) }
      }
      found[try #require(texts[0])] = texts[1]
    }
    return found
  }

  @Test("Space is won, nothing is lost, and the report says how it was before and is after")
  func report() throws {
    let place = try Workplace()
    let (store, values) = try halfDead(place)
    let ended = try ToolProcess.kvctl("compact", store, "--json")
    #expect(ended.status == 0 && ended.errors.isEmpty, "\(ended.errors)")
    let json = try ended.json
    func number(_ name: String, _ part: String? = nil) throws -> Int64 {
      try #require((part.map { json[$0] } ?? json)?[name]?.integer, "\(name)")
    }
    for part in ["before", "after"] {
      #expect(
        try number("usedSegments", part) + number("freeSegments", part) == number("segments"))
      #expect(try number("usedBytes", part) == number("usedSegments", part) * 65_536)
      #expect(try number("keys", part) == Int64(values.count))
    }
    #expect(try number("usedSegments", "after") * 3 < number("usedSegments", "before") * 2)
    #expect(try number("tombstones", "before") > 600 && number("tombstones", "after") == 0)
    #expect(try number("deadTombstones") == number("tombstones", "before"))
    #expect(try number("liveBytes", "after") <= number("liveBytes", "before"))
    #expect(try number("compactedSegments") > 10 && number("freedSegments") > 20)
    #expect(try number("relocatedRecords") > 100)
    #expect(try number("relocationBytes") > number("relocatedRecords") * 1_000)
    #expect(json["seconds"] != nil && json["after"]?["spaceAmplification"] != nil)
    #expect(try contents(store) == values)
    let again = try ToolProcess.kvctl("compact", store)
    #expect(again.status == 0 && again.errors.isEmpty, "\(again.errors)")
    let lines = again.text.split(separator: "\n")
    #expect(lines.count == 4 && lines[0].contains("segments in use"))
    #expect(lines[1].hasPrefix("before") && lines[2].hasPrefix("after"))
    #expect(lines[3].contains("segments emptied") && lines[3].contains("tombstones died"))
    #expect(try contents(store) == values)
  }

  @Test("The shell compacts, and goes on")
  func shell() throws {
    let place = try Workplace()
    let (store, values) = try halfDead(place)
    let requests = ["stat", "compact", "stat"].map { "{\"op\":\"\($0)\"}\n" }
    let ended = try ToolProcess.kvctl(
      "shell", store, "--json", input: Array(requests.joined().utf8))
    let said = try ended.text.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
    try #require(said.count == 4)
    #expect(said[2] == ["ok": true])
    let before = try #require(said[1]["stat"]?["freeSegments"]?.integer)
    #expect(try #require(said[3]["stat"]?["freeSegments"]?.integer) > before)
    #expect(try #require(said[3]["stat"]?["compactedSegments"]?.integer) > 0)
    #expect(try contents(store) == values)
  }

  @Test("A store in use is not compacted from outside")
  func inUse() throws {
    let place = try Workplace()
    let store = try place.store()
    let holder = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = holder.line()
    let ended = try ToolProcess.kvctl("compact", store, "--json")
    #expect(ended.status == 31 && ended.output.isEmpty)
    #expect(try ended.error["code"] == "inUse")
    #expect(holder.end().status == 0)
    #expect(try ToolProcess.kvctl("compact", place.path("none"), "--json").status != 0)
  }
}
