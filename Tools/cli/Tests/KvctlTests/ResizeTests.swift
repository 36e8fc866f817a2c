import Console
import Foundation
import Testing

/// kvctl resize.
@Suite struct ResizeTests {
  private func byteCount(_ place: Workplace) -> Int64 {
    var status = stat()
    return stat(place.path("store"), &status) == 0 ? Int64(status.st_size) : -1
  }

  @Test("A file grows, after a look at what would become of it")
  func file() throws {
    let place = try Workplace()
    let store = try place.store(size: "16MiB")
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    let look = try ToolProcess.kvctl("resize", store, "--size", "64MiB", "--dry-run", "--json")
    #expect(look.status == 0, "\(look.errors)")
    let plan = try look.json
    #expect(plan["dryRun"] == true)
    #expect(plan["deviceBytes"]?.integer == 16 << 20)
    #expect(plan["newDeviceBytes"]?.integer == 64 << 20)
    #expect(plan["fillBytes"]?.integer == 48 << 20)
    let (before, after) = (plan["segments"]?.integer ?? 0, plan["newSegments"]?.integer ?? 0)
    #expect(after > 3 * before)
    #expect(plan["maximumBytes"]?.integer ?? 0 >= 128 << 20)
    #expect(byteCount(place) == 16 << 20)
    let text = try ToolProcess.kvctl("resize", store, "--size", "64MiB", "--dry-run").text
    #expect(text.contains("16 MiB -> 64 MiB"), "\(text)")
    let done = try ToolProcess.kvctl("resize", store, "--size", "64MiB", "--json")
    #expect(done.status == 0, "\(done.errors)")
    #expect(try done.json["dryRun"] == false)
    #expect(try done.json["newSegments"] == plan["newSegments"])
    #expect(byteCount(place) == 64 << 20)
    // Filled, not only longer.
    var status = stat()
    #expect(stat(store, &status) == 0 && status.st_blocks * 512 >= 64 << 20)
    let info = try ToolProcess.kvctl("info", store, "--json").json
    #expect(info["deviceBytes"]?.integer == 64 << 20)
    #expect(info["segments"] == plan["newSegments"])
    #expect(info["growableBytes"]?.integer == 0)
    #expect(info["validSuperblocks"]?.integer == 4)
    #expect(info["findings"] == [])
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
  }

  @Test("Without --size a store takes up a file that is longer than it")
  func longer() throws {
    let place = try Workplace()
    let store = try place.store(size: "16MiB")
    let missing = try ToolProcess.kvctl("resize", store, "--json")
    #expect(missing.status == 64)
    #expect(try missing.error["code"] == "usage")
    #expect(truncate(store, 40 << 20) == 0)
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    let info = try ToolProcess.kvctl("info", store, "--json").json
    #expect(info["deviceBytes"]?.integer == 16 << 20)
    #expect(info["growableBytes"]?.integer == 40 << 20)
    let text = try ToolProcess.kvctl("resize", store)
    #expect(text.status == 0, "\(text.errors)")
    #expect(text.text.contains("16 MiB -> 40 MiB"), "\(text.text)")
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
    #expect(truncate(store, 39 << 20) == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").status == 30)
  }

  @Test("What is refused leaves the store and its file as they were")
  func refusals() throws {
    let place = try Workplace()
    let store = try place.store(size: "16MiB")
    let bytes = place.bytes(of: "store")
    let segments = try ToolProcess.kvctl("info", store, "--json").json["segments"]
    for dryRun in [["--dry-run"], []] {
      let cases: [(String, Int32, String)] = [
        ("8MiB", 30, "not supported"), ("16MiB", 64, "at least"), ("1TiB", 30, "at most"),
        ("many", 64, "whole number"),
      ]
      for (size, status, words) in cases {
        let ended = try ToolProcess(
          "kvctl", ["resize", store, "--size", size, "--json"] + dryRun
        ).end()
        #expect(ended.status == status, "\(size): \(ended.errors)")
        #expect(ended.errors.contains(words), "\(size): \(ended.errors)")
      }
      if !dryRun.isEmpty { #expect(place.bytes(of: "store") == bytes) }
    }
    #expect(byteCount(place) == 16 << 20)
    #expect(try ToolProcess.kvctl("info", store, "--json").json["segments"] == segments)
  }

  @Test("A store in use: a look is possible, growing is not")
  func inUse() throws {
    let place = try Workplace()
    let store = try place.store(size: "16MiB")
    let holder = try ToolProcess("kvctl", ["shell", store, "--json"])
    _ = holder.line()
    #expect(try ToolProcess.kvctl("resize", store, "--size", "32MiB").status == 31)
    let look = try ToolProcess.kvctl("resize", store, "--size", "32MiB", "--dry-run")
    #expect(look.status == 0, "\(look.errors)")
    #expect(holder.end().status == 0)
    #expect(byteCount(place) == 16 << 20)
  }
}

@Suite(.serialized, .enabled(if: LoopDevice.areAvailable, "needs root: loop devices"))
struct ResizeDeviceTests {
  @Test("A device that has been enlarged: opened at the recorded size, then grown")
  func device() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 16 << 20)
    #expect(try ToolProcess.kvctl("create", device.path).status == 0)
    #expect(try ToolProcess.kvctl("put", device.path, "k", "v").status == 0)
    #expect(try ToolProcess.kvctl("resize", device.path).status == 64)
    #expect(try ToolProcess.kvctl("resize", device.path, "--size", "32MiB").status == 64)
    #expect(truncate(place.path("image"), 48 << 20) == 0)
    try LoopDevice.run(["losetup", "--set-capacity", device.path])
    let info = try ToolProcess.kvctl("info", device.path, "--json").json
    #expect(info["deviceBytes"]?.integer == 16 << 20)
    #expect(info["growableBytes"]?.integer == 48 << 20)
    #expect(try ToolProcess.kvctl("get", device.path, "k").text == "v")
    let part = try ToolProcess.kvctl("resize", device.path, "--size", "32MiB", "--json")
    #expect(part.status == 0, "\(part.errors)")
    #expect(try part.json["fillBytes"]?.integer == 0)
    let rest = try ToolProcess.kvctl("resize", device.path, "--json")
    #expect(rest.status == 0, "\(rest.errors)")
    #expect(try rest.json["deviceBytes"]?.integer == 32 << 20)
    #expect(try rest.json["newDeviceBytes"]?.integer == 48 << 20)
    #expect(try ToolProcess.kvctl("get", device.path, "k").text == "v")
    // Cut back, it is refused and not touched.
    #expect(truncate(place.path("image"), 32 << 20) == 0)
    try LoopDevice.run(["losetup", "--set-capacity", device.path])
    #expect(try ToolProcess.kvctl("get", device.path, "k").status == 30)
  }

  @Test("A full file system: the file has its old length, and the store goes on")
  func noSpace() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 64 << 20)
    try LoopDevice.run(["mkfs.ext4", "-q", device.path])
    let folder = place.path("mounted")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try LoopDevice.run(["mount", device.path, folder])
    defer { _ = try? LoopDevice.run(["umount", folder]) }
    let store = folder + "/store"
    #expect(try ToolProcess.kvctl("create", store, "--size", "16MiB").status == 0)
    #expect(try ToolProcess.kvctl("put", store, "k", "v").status == 0)
    for dryRun in [["--dry-run"], []] {
      let ended = try ToolProcess(
        "kvctl", ["resize", store, "--size", "128MiB", "--json"] + dryRun
      ).end()
      #expect(ended.status == 1, "\(ended.errors)")
      #expect(try ended.error["code"] == "full")
    }
    var status = stat()
    #expect(stat(store, &status) == 0 && status.st_size == 16 << 20)
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
    let smaller = try ToolProcess.kvctl("resize", store, "--size", "32MiB")
    #expect(smaller.status == 0, "\(smaller.errors)")
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
  }
}
