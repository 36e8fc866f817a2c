import Console
import Foundation
import Testing

/// What info, stat and recover --plan say of a store that is held, damaged, full or not closed.
@Suite struct InfoTests {
  @Test("A store that somebody reads is in use, too")
  func reader() throws {
    let place = try Workplace()
    let store = try place.store()
    let holder = try ToolProcess("kvctl", ["shell", store, "--json", "--read-only"])
    _ = holder.line()
    let info = try ToolProcess.kvctl("info", store, "--json").json
    #expect(info["live"] == true)
    #expect(info["holderReads"] == true)
    #expect(info["holderPid"]?.integer == Int64(holder.processID))
    #expect(try ToolProcess.kvctl("info", store).text.contains("process \(holder.processID)"))
    #expect(holder.end().status == 0)
    let after = try ToolProcess.kvctl("info", store, "--json").json
    #expect(after["live"] == false)
    #expect(after["holderPid"] == .null)
  }

  @Test("A store that was cut short or has grown says who it is and what is wrong")
  func lengths() throws {
    let place = try Workplace()
    let made = try ToolProcess.kvctl(
      "create", place.path("store"), "--size", "16MiB", "--label", "carts", "--json")
    let uuid = try #require(try made.json["uuid"])
    #expect(truncate(place.path("store"), 8 << 20) == 0)
    let cut = try ToolProcess.kvctl("info", place.path("store"), "--json")
    #expect(cut.status == 0, "\(cut.errors)")
    let json = try cut.json
    #expect(json["uuid"] == uuid)
    #expect(json["label"] == "carts")
    #expect(json["deviceBytes"]?.integer == 16 << 20)
    #expect(json["presentBytes"]?.integer == 8 << 20)
    #expect(json["findings"]?.elements?.contains { $0.text?.contains("cut short") == true } == true)
    #expect(try ToolProcess.kvctl("info", place.path("store")).text.contains("8 MiB: cut short"))
    #expect(truncate(place.path("store"), 16 << 20) == 0)
    _ = try ToolProcess.kvctl("create", place.path("store"), "--size", "16MiB", "--force")
    #expect(truncate(place.path("store"), 32 << 20) == 0)
    let grown = try ToolProcess.kvctl("info", place.path("store"))
    #expect(grown.status == 0)
    #expect(grown.text.contains("there are 32 MiB"), "\(grown.text)")
    #expect(grown.text.contains("`kvctl resize` takes it"), "\(grown.text)")
    #expect(try ToolProcess.kvctl("put", place.path("store"), "k", "v").status == 0)
  }

  @Test("Superblocks that are gone are counted, and remarked upon")
  func superblocks() throws {
    let place = try Workplace()
    let store = try place.store()
    var bytes = place.bytes(of: "store")
    for page in [0, 8] {
      bytes.replaceSubrange(
        page * 4096..<(page + 1) * 4096, with: [UInt8](repeating: 0, count: 4096))
    }
    try place.write(bytes, to: "store")
    let info = try ToolProcess.kvctl("info", store)
    #expect(info.status == 0)
    #expect(info.text.contains("only 2 of 4 superblock copies are valid"), "\(info.text)")
    #expect(try ToolProcess.kvctl("info", store, "--json").json["validSuperblocks"]?.integer == 2)
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    #expect(try ToolProcess.kvctl("info", store, "--json").json["findings"] == [])
  }

  @Test("stat: the last sequence number in use, however the store was left")
  func lastSequence() throws {
    let place = try Workplace()
    let store = try place.store()
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = shell.line()
    for index in 0..<20 {
      shell.send(Array("{\"op\":\"put\",\"key\":\"k\(index)\",\"value\":\"v\"}\n".utf8))
      #expect(shell.line() != nil)
    }
    shell.sendSIGKILL()
    _ = shell.end()
    func last() throws -> Int64? {
      try ToolProcess.kvctl("stat", store, "--json").json["stat"]?["lastSeq"]?.integer
    }
    #expect(try last() == 20)
    #expect(try ToolProcess.kvctl("recover", store).status == 10)
    #expect(try last() == 20)
    let put = try ToolProcess.kvctl("put", store, "more", "v", "--json").json["seq"]?.integer
    #expect(try last() == put)
  }

  @Test("stat says that a store is full")
  func full() throws {
    let place = try Workplace()
    let store = try place.store(size: "4MiB")
    var lines: [UInt8] = []
    for index in 0..<3000 {
      let value = Base64.encode((0..<3000).map { _ in UInt8.random(in: 0...255) })
      lines += Array("{\"key\":\"k\(index)\",\"valueB64\":\"\(value)\"}\n".utf8)
    }
    try place.write(lines, to: "lines")
    #expect(try ToolProcess.kvctl("stat", store, "--json").json["stat"]?["health"] == "healthy")
    let ended = try ToolProcess.kvctl(
      "load", store, "--jsonl", place.path("lines"), "--skip-errors", "--json")
    #expect(ended.status == 1)
    #expect(try ended.error["code"] == "full")
    let stored = try #require(try ended.error["records"]?.integer)
    #expect(try ended.error["bytes"]?.integer ?? 0 > stored * 3000)
    let stat = try ToolProcess.kvctl("stat", store, "--json").json["stat"]
    #expect(stat?["health"] == "full")
    #expect(stat?["keys"]?.integer == stored)
    let again = try ToolProcess.kvctl("load", store, "--jsonl", place.path("lines"))
    #expect(again.errors.contains("were stored before"), "\(again.errors)")
  }

  @Test("A plan covers what recovery reads, and works on a store in use")
  func plan() throws {
    let place = try Workplace()
    let store = try place.store()
    let shell = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = shell.line()
    let value = Base64.encode((0..<2000).map { _ in UInt8.random(in: 0...255) })
    for index in 0..<1500 {
      if index == 500 {
        shell.send(Array("{\"op\":\"checkpoint\"}\n".utf8))
        #expect(shell.line() != nil)
      }
      shell.send(
        Array("{\"op\":\"put\",\"key\":\"k\(index)\",\"valueB64\":\"\(value)\"}\n".utf8))
      #expect(shell.line() != nil)
    }
    let live = try ToolProcess.kvctl("recover", store, "--plan", "--json")
    #expect(live.status == 0, "\(live.errors)")
    #expect(try live.json["live"] == true)
    #expect(try live.json["holderPid"]?.integer == Int64(shell.processID))
    #expect(try ToolProcess.kvctl("recover", store, "--plan").text.contains("live"))
    shell.sendSIGKILL()
    _ = shell.end()
    for status: Int32 in [10, 0] {
      let plan = try ToolProcess.kvctl("recover", store, "--plan", "--json").json
      #expect(plan["live"] == false)
      let recovered = try ToolProcess.kvctl("recover", store, "--json")
      #expect(recovered.status == status)
      let planned = try #require(plan["readBytes"]?.integer)
      let read = try #require(try recovered.json["readBytes"]?.integer)
      #expect(read > 0)
      // No less than recovery reads, and not much more: the superblocks, the table, a header of
      // each segment and a window of the checkpoint are not in its report.
      #expect(planned >= read, "\(status)")
      #expect(planned <= read + (2 << 20), "\(status): \(planned) for \(read)")
    }
  }
}
