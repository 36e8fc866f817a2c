import Console
import Foundation
import Testing

/// Records that expire, from the command line.
@Suite struct ExpiryTests {
  @Test("put --ttl: get says what is left, and a plain put takes it away")
  func timeToLive() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "v", "--ttl", "3600").status == 0)
    let left = try #require(try number(ToolProcess.kvctl("get", store, "k", "--json").json["ttl"]))
    #expect(left > 0 && left <= 3600)
    #expect(try ToolProcess.kvctl("get", store, "k").output == Array("v".utf8))
    #expect(try ToolProcess.kvctl("put", store, "k", "w").status == 0)
    #expect(
      try ToolProcess.kvctl("get", store, "k", "--json").json
        == ["ok": true, "found": true, "value": "w", "seq": 2])
    // The shortest has come by the time that another process asks.
    #expect(try ToolProcess.kvctl("put", store, "k", "x", "--ttl", "0.001").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").status == 1)
    #expect(try ToolProcess.kvctl("del", store, "k", "--must-exist").status == 1)
    #expect(try ToolProcess.kvctl("put", store, "k", "y", "--if-absent", "--ttl", "9").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "y")
  }

  @Test("A time to live that is none is a usage error", arguments: ["0", "-1", "nan", "1e16", "x"])
  func bounds(seconds: String) throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "v", "--ttl", seconds).status == 64)
    #expect(try ToolProcess.kvctl("get", store, "k").status == 1)
  }

  @Test("The shell takes ttl, and tells it")
  func shell() throws {
    let place = try Workplace()
    let store = try place.store()
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    let requests = [
      #"{"op":"put","key":"k","value":"v","ttl":60}"#, #"{"op":"get","key":"k"}"#,
      #"{"op":"batch","ops":[{"op":"put","key":"a","value":"1","ttl":0.001}]}"#,
      #"{"op":"put","key":"b","value":"1","ttl":"60"}"#,
      #"{"op":"put","key":"b","value":"1","ttl":-1}"#,
    ]
    shell.send(Array((requests.joined(separator: "\n") + "\n").utf8))
    let ended = shell.end()
    let said = try ended.text.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
    #expect(said.count == 6)
    #expect(said[1] == ["ok": true, "seq": 1])
    let left = try #require(number(said[2]["ttl"]))
    #expect(left > 0 && left <= 60)
    #expect(said[3] == ["ok": true, "seq": 2])
    #expect(said[4]["code"] == "usage" && said[5]["code"] == "usage")
    #expect(try ToolProcess.kvctl("get", store, "a").status == 1)
  }

  @Test("dump writes expiries, and load takes them back")
  func dumpAndLoad() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "v", "--ttl", "3600").status == 0)
    #expect(try ToolProcess.kvctl("put", store, "n", "v").status == 0)
    let dump = try ToolProcess.kvctl("dump", store)
    let other = try place.store("other")
    #expect(
      try ToolProcess.kvctl("load", other, "--jsonl", "-", input: dump.output).status == 0)
    let expiries = { (text: String) in
      try Dictionary(
        uniqueKeysWithValues: text.split(separator: "\n").map { line in
          let json = try JSONParser.parse(Array(line.utf8))
          return (json["keyB64"]?.text ?? "", json["expiresMs"]?.integer)
        })
    }
    let before = try expiries(dump.text)
    #expect(before.count == 2 && before.values.contains { $0 != nil })
    #expect(try expiries(ToolProcess.kvctl("dump", other).text) == before)
    let lines = """
      {"key":"r","value":"1","ttl":100}
      {"key":"past","value":"1","expiresMs":1000}

      """
    let loaded = try ToolProcess.kvctl("load", other, "--jsonl", "-", input: Array(lines.utf8))
    #expect(loaded.status == 0)
    #expect(try ToolProcess.kvctl("get", other, "r", "--json").json["ttl"] != nil)
    #expect(try ToolProcess.kvctl("get", other, "past").status == 1)
    for bad in [
      #"{"key":"x","value":"1","ttl":0}"#, #"{"key":"x","value":"1","expiresMs":0}"#,
      #"{"key":"x","value":"1","ttl":1,"expiresMs":5}"#,
    ] {
      let refused = try ToolProcess.kvctl("load", other, "--jsonl", "-", input: Array(bad.utf8))
      #expect(refused.status == 1 && refused.errors.contains("line 1"), "\(bad)")
    }
  }

  @Test("A wall clock that is far ahead is held until recover --accept-clock")
  func heldClock() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("info", store).text.contains("no record expires"))
    let now = try #require(
      try ToolProcess.kvctl("info", store, "--json").json["clockMilliseconds"]?.integer)
    // As if a record with an expiry had been written and deleted a year ago.
    let year: Int64 = 365 * 86_400_000
    try age(place, by: year)
    let info = try ToolProcess.kvctl("info", store, "--json").json
    #expect(info["clockHeld"] == true && info["hasExpiries"] == true)
    #expect(info["clockMilliseconds"]?.integer == now - year)
    #expect(try ToolProcess.kvctl("info", store).text.contains("recover --accept-clock"))
    let put = try ToolProcess.kvctl("put", store, "k", "v", "--ttl", "3600")
    #expect(put.status == 0 && put.errors.contains("days ahead"))
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
    let recovered = try ToolProcess.kvctl("recover", store, "--json")
    #expect(recovered.status == 0)
    #expect(try (number(recovered.json["clockHeldSeconds"]) ?? 0) > 364 * 86_400)
    #expect(try ToolProcess.kvctl("recover", store).text.contains("HELD"))
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    let opening = try #require(shell.line())
    #expect(try JSONParser.parse(opening)["clockHeldSeconds"] != nil)
    _ = shell.end()
    #expect(try ToolProcess.kvctl("get", store, "k").status == 0)
    #expect(try ToolProcess.kvctl("recover", store, "--plan", "--accept-clock").status == 64)
    let accepted = try ToolProcess.kvctl("recover", store, "--accept-clock", "--json")
    #expect(accepted.status == 0)
    #expect(try accepted.json["clockHeldSeconds"] == .null)
    let after = try ToolProcess.kvctl("get", store, "k")
    #expect(after.status == 1 && !after.errors.contains("days ahead"), "an hour has passed")
    #expect(try ToolProcess.kvctl("info", store, "--json").json["clockHeld"] == false)
  }

  private func number(_ value: JSONValue?) -> Double? {
    switch value {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// Sets the mark in all copies of the superblock back, and that there are expiries; with
  /// checksums that are right.
  private func age(_ place: Workplace, by milliseconds: Int64) throws {
    var bytes = place.bytes(of: "store")
    let pageCount = bytes.count / 4096
    for page in [0, 8, pageCount - 9, pageCount - 1] {
      let start = page * 4096
      var mark: UInt64 = 0
      for index in 0..<8 { mark |= UInt64(bytes[start + 144 + index]) << UInt64(8 * index) }
      mark -= UInt64(milliseconds)
      bytes[start + 113] = 1
      for index in 0..<8 {
        bytes[start + 144 + index] = UInt8(truncatingIfNeeded: mark >> UInt64(8 * index))
      }
      var salted = Array(bytes[start + 16..<start + 32]) + [UInt8](repeating: 0, count: 8)
      for index in 0..<8 { salted.append(UInt8(truncatingIfNeeded: page >> (8 * index))) }
      salted += bytes[start + 12..<start + 4096]
      let checksum = Self.crc32c(salted)
      for index in 0..<4 {
        bytes[start + 8 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index))
      }
    }
    try place.write(bytes, to: "store")
  }

  /// CRC32C bit by bit, as FORMAT.md names it.
  private static func crc32c(_ bytes: [UInt8]) -> UInt32 {
    var sum = UInt32.max
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82f6_3b78 : sum >> 1 }
    }
    return ~sum
  }
}
