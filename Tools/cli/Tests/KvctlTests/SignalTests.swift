import Console
import Foundation
import Testing

/// A signal is a wish to come to an end, at a place where nothing is half done.
@Suite struct SignalTests {
  @Test("create that is interrupted removes what it made", arguments: [SIGTERM, SIGINT, SIGHUP])
  func create(signal: Int32) throws {
    let place = try Workplace()
    let creating = try ToolProcess(
      "kvctl", ["create", place.path("s"), "--size", "3GiB", "--json"])
    // It watches for signals before the file is there, and fills it for longer than this takes.
    while !FileManager.default.fileExists(atPath: place.path("s")) { sched_yield() }
    creating.send(signal: signal)
    let ended = creating.end()
    #expect(ended.status == 128 + signal, "\(ended.status) \(ended.errors)")
    #expect(try ended.error["code"] == "cancelled")
    #expect(!FileManager.default.fileExists(atPath: place.path("s")))
  }

  @Test("resize that is interrupted gives the old length back", arguments: [SIGTERM, SIGINT])
  func resize(signal: Int32) throws {
    let place = try Workplace()
    let store = try place.store(size: "512MiB")
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    let resizing = try ToolProcess("kvctl", ["resize", store, "--size", "3GiB", "--json"])
    // It watches for signals before the file is any longer.
    var status = stat()
    while stat(store, &status) == 0, status.st_size == 512 << 20 { sched_yield() }
    resizing.send(signal: signal)
    let ended = resizing.end()
    #expect(ended.status == 128 + signal, "\(ended.status) \(ended.errors)")
    #expect(try ended.error["code"] == "cancelled")
    #expect(stat(store, &status) == 0 && status.st_size == 512 << 20)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
    #expect(try ToolProcess.kvctl("info", store, "--json").json["clean"] == true)
  }

  @Test("The shell closes its store", arguments: [SIGTERM, SIGINT, SIGHUP])
  func shell(signal: Int32) throws {
    let place = try Workplace()
    let store = try place.store()
    for options in [["--json"], ["--json", "--concurrency", "8"], []] {
      let shell = try ToolProcess("kvctl", ["shell", store] + options)
      if options.isEmpty {
        shell.send(Array("put k v buffered\n".utf8))
      } else {
        #expect(shell.line() != nil)
        shell.send(
          Array("{\"op\":\"put\",\"key\":\"k\",\"value\":\"v\",\"durability\":\"buffered\"}\n".utf8)
        )
      }
      #expect(shell.line() != nil)
      shell.send(signal: signal)
      let ended = shell.end()
      #expect(ended.status == 128 + signal, "\(ended.status) \(ended.errors)")
      #expect(ended.errors.isEmpty)
      #expect(try ToolProcess.kvctl("info", store, "--json").json["clean"] == true, "\(options)")
    }
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
  }
}
