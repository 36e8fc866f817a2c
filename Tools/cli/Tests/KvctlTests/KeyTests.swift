import Console
import Foundation
import Testing

@Suite struct KeyTests {
  @Test("A value comes back byte for byte, however it was given")
  func values() throws {
    let place = try Workplace()
    let store = try place.store()
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    try place.write(bytes, to: "file")
    #expect(try ToolProcess.kvctl("put", store, "text", "hello").status == 0)
    #expect(try ToolProcess.kvctl("put", store, "empty", "").status == 0)
    #expect(try ToolProcess.kvctl("put", store, "stdin", "-", input: bytes).status == 0)
    #expect(try ToolProcess.kvctl("put", store, "file", "@" + place.path("file")).status == 0)
    #expect(try ToolProcess.kvctl("put", store, "00ff0a", "fe00", "--hex").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "text").output == Array("hello".utf8))
    #expect(try ToolProcess.kvctl("get", store, "empty").output == [])
    #expect(try ToolProcess.kvctl("get", store, "empty").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "stdin").output == bytes)
    #expect(try ToolProcess.kvctl("get", store, "file").output == bytes)
    #expect(try ToolProcess.kvctl("get", store, "00FF0A", "--hex").text == "fe00\n")
    #expect(try ToolProcess.kvctl("get", store, "AP8K", "--base64").text == "/gA=\n")
    let json = try ToolProcess.kvctl("get", store, "text", "--json").json
    #expect(json["value"] == "hello")
    #expect(json["seq"]?.integer == 1)
  }

  @Test("A key that is not there gives 1, and JSON says found: false")
  func missing() throws {
    let place = try Workplace()
    let store = try place.store()
    let plain = try ToolProcess.kvctl("get", store, "nothing")
    #expect(plain.status == 1)
    #expect(plain.output.isEmpty)
    #expect(!plain.errors.isEmpty)
    let json = try ToolProcess.kvctl("get", store, "nothing", "--json")
    #expect(json.status == 1)
    #expect(try json.json == ["ok": true, "found": false])
  }

  @Test("A condition that does not hold gives 1 and changes nothing")
  func conditions() throws {
    let place = try Workplace()
    let store = try place.store()
    let first = try ToolProcess.kvctl("put", store, "k", "1", "--if-absent", "--json")
    #expect(first.status == 0)
    let sequence = try #require(try first.json["seq"]?.integer)
    let second = try ToolProcess.kvctl("put", store, "k", "2", "--if-absent", "--json")
    #expect(second.status == 1)
    #expect(try second.json == ["ok": true, "applied": false, "seq": .integer(sequence)])
    #expect(try ToolProcess.kvctl("put", store, "k", "3", "--if-seq", "99").status == 1)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "1")
    #expect(try ToolProcess.kvctl("put", store, "k", "4", "--if-seq", "\(sequence)").status == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "4")
    let both = try ToolProcess.kvctl("put", store, "k", "5", "--if-absent", "--if-seq", "1")
    #expect(both.status == 64)
  }

  @Test("del gives 0 either way, and with --must-exist 1 where nothing was")
  func deletes() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "1").status == 0)
    let gone = try ToolProcess.kvctl("del", store, "k", "--json")
    #expect(gone.status == 0)
    #expect(try gone.json["seq"]?.integer == 2)
    #expect(try ToolProcess.kvctl("get", store, "k").status == 1)
    let again = try ToolProcess.kvctl("del", store, "k", "--json")
    #expect(again.status == 0)
    #expect(try again.json == ["ok": true])
    #expect(try ToolProcess.kvctl("del", store, "k", "--must-exist").status == 1)
  }

  @Test("Over the limits: named, exit code 1, and nothing is written")
  func limits() throws {
    let place = try Workplace()
    let store = try place.store()
    let longest = String(repeating: "k", count: 4096)
    #expect(try ToolProcess.kvctl("put", store, longest, "v").status == 0)
    #expect(try ToolProcess.kvctl("get", store, longest).text == "v")
    let overKey = try ToolProcess.kvctl("put", store, longest + "k", "v", "--json")
    #expect(overKey.status == 1)
    #expect(try overKey.error["code"] == "tooLarge")
    let info = try ToolProcess.kvctl("info", store, "--json").json
    let limit = try #require(info["maximumValueBytes"]?.integer)
    try place.write([UInt8](repeating: 7, count: Int(limit)), to: "fits")
    try place.write([UInt8](repeating: 7, count: Int(limit) + 1), to: "over")
    #expect(try ToolProcess.kvctl("put", store, "fits", "@" + place.path("fits")).status == 0)
    let overValue = try ToolProcess.kvctl("put", store, "o", "@" + place.path("over"), "--json")
    #expect(overValue.status == 1)
    #expect(try overValue.error["code"] == "tooLarge")
    #expect(try ToolProcess.kvctl("get", store, "o").status == 1)
    #expect(try ToolProcess.kvctl("get", store, "fits").output.count == Int(limit))
  }

  @Test("KVCTL_STORE stands for a store that is left out")
  func environment() throws {
    let place = try Workplace()
    let environment = ["KVCTL_STORE": try place.store()]
    #expect(try ToolProcess.kvctl("put", "k", "v", environment: environment).status == 0)
    #expect(try ToolProcess.kvctl("get", "k", environment: environment).text == "v")
    #expect(try ToolProcess.kvctl("info", environment: environment).status == 0)
    #expect(try ToolProcess.kvctl("get", "k").status == 64)
  }

  @Test("Values the command line cannot read are named")
  func unreadableValues() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(try ToolProcess.kvctl("put", store, "k", "@" + place.path("none")).status == 1)
    #expect(try ToolProcess.kvctl("put", store, "k", "@" + place.folder).status == 1)
    #expect(try ToolProcess.kvctl("put", store, "xyz", "00", "--hex").status == 64)
    #expect(try ToolProcess.kvctl("put", store, "00", "0", "--hex").status == 64)
    #expect(try ToolProcess.kvctl("put", store, "a", "b", "--base64").status == 64)
  }
}
