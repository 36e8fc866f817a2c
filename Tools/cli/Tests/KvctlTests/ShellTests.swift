import Console
import Foundation
import Testing

@Suite struct ShellTests {
  private func converse(
    _ store: String, _ requests: [String], options: [String] = []
  ) throws -> [JSONValue] {
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"] + options)
    shell.send(Array((requests.joined(separator: "\n") + "\n").utf8))
    let ended = shell.end()
    #expect(ended.status == 0, "\(ended.errors)")
    return try ended.text.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
  }

  @Test("The answers are the contract's, in order")
  func answers() throws {
    let place = try Workplace()
    let said = try converse(
      try place.store(),
      [
        #"{"op":"put","key":"k","value":"v","durability":"durable"}"#,
        #"{"op":"get","key":"k"}"#,
        #"{"op":"get","key":"none","id":"x"}"#,
        #"{"op":"put","key":"k","value":"w","ifAbsent":true}"#,
        #"{"op":"put","key":"k","value":"w","ifSeq":1,"durability":"written"}"#,
        #"{"op":"put","key":"n","value":"w","ifSeq":7}"#,
        #"{"op":"del","key":"none"}"#,
        #"{"op":"del","key":"k","durability":"buffered","id":5}"#,
        #"{"op":"batch","ops":[{"op":"put","key":"a","value":"1"},"#
          + #"{"op":"put","keyB64":"Yg==","valueB64":"/w=="},{"op":"del","key":"none"}]}"#,
        #"{"op":"batch","ops":[{"op":"put","key":"a","value":"2"},"#
          + #"{"op":"put","key":"b","value":"2","ifAbsent":true}]}"#,
        #"{"op":"mget","keys":["a","none"]}"#,
        #"{"op":"mget","keysB64":["YQ==","Yg=="]}"#,
        #"{"op":"get","key":"b"}"#,
        #"{"op":"get","key":"a","b64":true}"#,
        #"{"op":"sync"}"#,
        #"{"op":"checkpoint"}"#,
        #"{"op":"compact","id":"c"}"#,
        #"{"op":"close"}"#,
        #"{"op":"get","key":"a"}"#,
      ])
    #expect(said.count == 19)
    #expect(said[0] == ["ok": true, "event": "open", "outcome": "clean", "droppedRecords": 0])
    #expect(said[1] == ["ok": true, "seq": 1])
    #expect(said[2] == ["ok": true, "found": true, "value": "v", "seq": 1])
    #expect(said[3] == ["ok": true, "found": false, "id": "x"])
    #expect(said[4] == ["ok": true, "applied": false, "seq": 1])
    #expect(said[5] == ["ok": true, "applied": true, "seq": 2])
    #expect(said[6] == ["ok": true, "applied": false])
    #expect(said[7] == ["ok": true])
    #expect(said[8] == ["ok": true, "seq": 3, "id": 5])
    #expect(said[9]["ok"] == true)
    #expect((said[9]["seq"]?.integer ?? 0) >= 5)
    #expect(said[10] == ["ok": true, "applied": false, "failed": 1])
    #expect(said[11] == ["ok": true, "values": ["1", nil]])
    #expect(said[12] == ["ok": true, "valuesB64": ["MQ==", "/w=="]])
    #expect(said[13]["valueB64"] == "/w==")
    #expect(said[14]["valueB64"] == "MQ==")
    #expect(said[15] == ["ok": true])
    #expect(said[16] == ["ok": true])
    #expect(said[17] == ["ok": true, "id": "c"])
    #expect(said[18] == ["ok": true])
  }

  @Test("What is no request is answered with usage, and the shell goes on")
  func malformed() throws {
    let place = try Workplace()
    let bad = [
      "x", "", "[]", "1", "{}", #"{"op":1}"#, #"{"op":"nothing"}"#, #"{"op":"compact","key":"k"}"#,
      #"{"op":"scrub"}"#, #"{"op":"put","key":"k"}"#, #"{"op":"put","value":"v"}"#,
      #"{"op":"put","key":"k","value":"v","ttl":0}"#, #"{"op":"put","key":"k","value":1}"#,
      #"{"op":"put","key":"k","keyB64":"aw==","value":"v"}"#,
      #"{"op":"put","key":"k","value":"v","durability":"most"}"#,
      #"{"op":"put","key":"k","value":"v","durabilty":"buffered"}"#,
      #"{"op":"put","key":"k","value":"v","ifSeq":-1}"#,
      #"{"op":"put","key":"k","value":"v","ifSeq":1,"ifAbsent":true}"#,
      #"{"op":"mget","keys":"k"}"#, #"{"op":"mget","keys":[1]}"#, #"{"op":"get","keyB64":"!"}"#,
      #"{"op":"batch","ops":[{"op":"get","key":"k"}]}"#, #"{"op":"batch"}"#,
      #"{"op":"put","key":"a","key":"b","value":"c"}"#, #"{"op":"get","op":"get","key":"a"}"#,
      #"{"op":"batch","ops":[{"op":"put","key":"k","value":"v","value":"w"}]}"#,
    ]
    let said = try converse(try place.store(), bad + [#"{"op":"get","key":"k","id":1}"#])
    try #require(said.count == bad.count + 2)
    for (index, line) in bad.enumerated() {
      #expect(said[index + 1]["ok"] == false, "\(line)")
      #expect(said[index + 1]["code"] == "usage", "\(line)")
    }
    #expect(said.last == ["ok": true, "found": false, "id": 1])
  }

  @Test("A refused request names the field that is wrong")
  func namedFields() throws {
    let place = try Workplace()
    let bad = [
      (#"{"op":7}"#, #""op" must be a string"#), (#"{"key":"k"}"#, #"no "op""#),
      (#"{"op":"mget","keysB64":["!"]}"#, #""keysB64" must be"#),
      (#"{"op":"mget","keysB64":7}"#, #""keysB64" must be"#),
      (#"{"op":"put","key":"a","key":"b","value":"c"}"#, #""key" stands there twice"#),
    ]
    let said = try converse(try place.store(), bad.map(\.0))
    for (index, (_, words)) in bad.enumerated() {
      let message = said[index + 1]["message"]?.text ?? ""
      #expect(message.hasPrefix(words), "\(message)")
    }
  }

  @Test("Failures carry their code")
  func failures() throws {
    let place = try Workplace()
    let store = try place.store()
    let long = String(repeating: "k", count: 4097)
    let said = try converse(store, [#"{"op":"put","key":"\#(long)","value":"v"}"#])
    #expect(said[1]["code"] == "tooLarge")
    let read = try converse(
      store, [#"{"op":"put","key":"k","value":"v"}"#], options: ["--read-only"])
    #expect(read[1]["code"] == "readOnly")
  }

  @Test("--concurrency answers every id once; close waits for what runs")
  func concurrency() throws {
    let place = try Workplace()
    let store = try place.store()
    let puts = (0..<200).map { #"{"op":"put","key":"k\#($0)","value":"\#($0)","id":\#($0)}"# }
    let said = try converse(
      store, puts + [#"{"op":"close","id":"end"}"#], options: ["--concurrency", "16"])
    #expect(said.count == 202)
    #expect(said.last == ["ok": true, "id": "end"])
    #expect(Set(said.compactMap { $0["id"]?.integer }) == Set(0..<200))
    #expect(Set(said.compactMap { $0["seq"]?.integer }) == Set(1...200))
    let keys = (0..<200).map { "\"k\($0)\"" }.joined(separator: ",")
    let read = try converse(store, [#"{"op":"mget","keys":[\#(keys)]}"#])
    #expect(read[0]["outcome"] == "clean")
    #expect(read[1]["values"] == .array((0..<200).map { .string("\($0)") }))
  }

  @Test("The prompt for people takes words")
  func prompt() throws {
    let place = try Workplace()
    let store = try place.store()
    let input = "put \"a key\" \"a \\\"value\\\"\"\nget \"a key\"\nget none\nnonsense\nhelp\nquit\n"
    let ended = try ToolProcess.kvctl("shell", store, input: Array(input.utf8))
    #expect(ended.status == 0)
    let lines = ended.text.split(separator: "\n")
    #expect(
      lines.prefix(4) == [
        "ok, sequence 1", "a \"value\"", "not found", "error: not a command: 'help' lists them",
      ])
  }

  @Test("The prompt says what a command takes")
  func promptUsage() throws {
    let place = try Workplace()
    let store = try place.store()
    let input = "put\nget 'x y'\nput 'x y' \"z w\"\nsync now\n"
    let lines = try ToolProcess.kvctl("shell", store, input: Array(input.utf8)).text
      .split(separator: "\n")
    let usages = [
      "put KEY VALUE [buffered|written|durable] [ttl=SECONDS]", "get KEY",
      "put KEY VALUE [buffered|written|durable] [ttl=SECONDS]", "sync",
    ]
    try #require(lines.count == usages.count)
    for (line, usage) in zip(lines, usages) {
      #expect(line.hasPrefix("error: usage: \(usage) ("), "\(line)")
    }
  }
}
