import Console
import Foundation
import Glibc
import Testing

@Suite(.serialized, .enabled(if: LoopDevice.areAvailable, "needs root: loop devices"))
struct DeviceTests {
  @Test("A store on a block device, without a size")
  func device() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 32 << 20)
    let made = try ToolProcess.kvctl("create", device.path, "--json")
    #expect(made.status == 0, "\(made.errors)")
    #expect(try made.json["deviceBytes"]?.integer == 32 << 20)
    #expect(try ToolProcess.kvctl("put", device.path, "k", "v").status == 0)
    #expect(try ToolProcess.kvctl("get", device.path, "k").text == "v")
    // Our own signature counts, too.
    #expect(try ToolProcess.kvctl("create", device.path).status == 30)
    #expect(try ToolProcess.kvctl("get", device.path, "k").text == "v")
    #expect(try ToolProcess.kvctl("create", device.path, "--force").status == 0)
    #expect(try ToolProcess.kvctl("get", device.path, "k").status == 1)
  }

  @Test("One writer: a second is refused while a shell holds the device")
  func inUse() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 32 << 20)
    #expect(try ToolProcess.kvctl("create", device.path).status == 0)
    let holder = try ToolProcess("kvctl", ["shell", device.path, "--json"])
    _ = holder.line()
    #expect(try ToolProcess.kvctl("put", device.path, "k", "v").status == 31)
    let forced = try ToolProcess.kvctl("create", device.path, "--force")
    #expect(forced.status == 31)
    #expect(forced.errors.contains("process \(holder.processID)"), "\(forced.errors)")
    #expect(holder.end().status == 0)
    #expect(try ToolProcess.kvctl("put", device.path, "k", "v").status == 0)
  }

  @Test("A device with a file system is refused; a mounted one also with --force")
  func fileSystem() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 32 << 20)
    try LoopDevice.run(["mkfs.ext4", "-q", device.path])
    #expect(try ToolProcess.kvctl("create", device.path).status == 30)
    #expect(try ToolProcess.kvctl("info", device.path).status == 30)
    let got = try ToolProcess.kvctl("get", device.path, "k")
    #expect(got.status == 30)
    #expect(got.errors.contains("it holds ext2/3/4"), "\(got.errors)")
    let folder = place.path("mounted")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try LoopDevice.run(["mount", device.path, folder])
    let forced = try ToolProcess.kvctl("create", device.path, "--force")
    try LoopDevice.run(["umount", folder])
    #expect(forced.status == 30 || forced.status == 31, "\(forced.status) \(forced.errors)")
    try LoopDevice.run(["fsck.ext4", "-n", "-f", device.path])
    #expect(try ToolProcess.kvctl("create", device.path, "--force").status == 0)
  }

  @Test("Killed while it writes to a device, the store recovers")
  func kill() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 32 << 20)
    #expect(try ToolProcess.kvctl("create", device.path).status == 0)
    let shell = try ToolProcess("kvctl", ["shell", device.path, "--json"])
    _ = shell.line()
    for index in 0..<50 {
      shell.send(Array("{\"op\":\"put\",\"key\":\"k\(index)\",\"value\":\"v\"}\n".utf8))
      #expect(shell.line() != nil)
    }
    shell.sendSIGKILL()
    _ = shell.end()
    let recovered = try ToolProcess.kvctl("recover", device.path, "--json")
    #expect(recovered.status == 10)
    #expect(try recovered.json["liveRecords"]?.integer == 50)
  }

  @Test("Freed segments are discarded where --discard asks for it, and only there")
  func discard() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 32 << 20)
    // Every block of the file below is there at first.
    try LoopDevice.run([
      "dd", "if=/dev/zero", "of=\(device.path)", "bs=1M", "count=32", "conv=fsync",
      "status=none",
    ])
    #expect(try ToolProcess.kvctl("create", device.path).status == 0)
    let value = String(repeating: "v", count: 60)
    func puts(_ version: Int) -> [String] {
      (0..<30).map { part in
        let operations = (0..<400).map { number in
          "{\"op\":\"put\",\"key\":\"k\(part)/\(number)\",\"value\":\"\(version)\(value)\"}"
        }
        return "{\"op\":\"batch\",\"ops\":[\(operations.joined(separator: ","))]}"
      }
    }
    /// Overwrites everything a few times, and returns what the store counted.
    func overwrite(_ options: [String]) throws -> JSONValue {
      let shell = try ToolProcess("kvctl", ["shell", device.path, "--json"] + options)
      _ = shell.line()
      func ask(_ line: String) throws -> JSONValue {
        shell.send(Array((line + "\n").utf8))
        let answer = try JSONParser.parse(try #require(shell.line()))
        try #require(answer["ok"] == true, "\(answer)")
        return answer
      }
      for line in (0..<8).flatMap(puts) + ["{\"op\":\"compact\"}"] { _ = try ask(line) }
      // Discards have a thread of their own.
      let limit = ContinuousClock.now + .seconds(60)
      var stat: JSONValue?
      repeat {
        stat = try ask("{\"op\":\"stat\"}")["stat"]
      } while !options.isEmpty
        && stat?["discardedBytes"] == 0 && stat?["discardFailures"] == 0
        && ContinuousClock.now < limit
      #expect(shell.end().status == 0)
      return try #require(stat)
    }
    func allocatedBlockCount() -> Int {
      var status = Glibc.stat()
      return stat(place.path("image"), &status) == 0 ? Int(status.st_blocks) : 0
    }
    let kept = try overwrite([])
    #expect(kept["discardedBytes"] == 0 && kept["discardFailures"] == 0)
    let before = allocatedBlockCount()
    #expect(before * 512 >= 32 << 20)
    let discarded = try overwrite(["--discard"])
    #expect(discarded["discardFailures"] == 0)
    #expect(try #require(discarded["discardedBytes"]?.integer) > 1 << 20)
    // The file under the loop device has given its blocks back.
    #expect(allocatedBlockCount() < before - 2_000)
    #expect(try ToolProcess.kvctl("get", device.path, "k3/7").text == "7" + value)
    #expect(try ToolProcess.kvctl("dump", device.path).text.split(separator: "\n").count == 12_000)
  }
}
