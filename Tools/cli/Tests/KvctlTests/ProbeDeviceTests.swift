import Console
import Foundation
import Testing

/// Probes of devices and of file systems of other kinds.
@Suite(.serialized) struct ProbeDeviceTests {
  /// Mounts `arguments` on a folder for as long as the test runs.
  private final class Mount {
    let folder: String

    init(_ folder: String, _ arguments: [String]) throws {
      self.folder = folder
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try LoopDevice.run(["mount"] + arguments + [folder])
    }

    deinit { _ = try? LoopDevice.run(["umount", folder]) }
  }

  private func codes(_ json: JSONValue) -> [String] {
    json["warnings"]?.elements?.compactMap { $0["code"]?.text } ?? []
  }

  @Test(
    "A device: read without a word, written once its path is typed back",
    .enabled(if: LoopDevice.areAvailable, "needs root: loop devices"))
  func device() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 16 << 20)
    let fresh = try ProbeTests.probe([device.path, "--json"])
    #expect(fresh.status == 0, "\(fresh.errors)")
    #expect(try fresh.json["measurements"] == [])
    #expect(try ProbeTests.probe([device.path, "--write"]).status == 30)
    let written = try ProbeTests.probe(
      [device.path, "--write", "--json"], input: device.path + "\n")
    #expect(written.status == 0, "\(written.errors)")
    let json = try written.json
    #expect(json["kind"] == "device")
    #expect(json["blockDevice"]?.text?.hasPrefix("loop") == true)
    #expect(json["measuredBytes"]?.integer == 4 << 20)
    #expect(json["alignment"]?["logicalSectorBytes"]?.integer == 512)
    #expect(json["alignment"]?["honest"] == true)
    let read = try ProbeTests.probe([device.path, "--engine", "threads", "--json"])
    #expect(read.status == 0, "\(read.errors)")
    #expect(try read.json["measuredBytes"]?.integer == 4 << 20)
  }

  @Test(
    "A mounted device is read, and never written",
    .enabled(if: LoopDevice.areAvailable, "needs root: loop devices"))
  func mounted() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 16 << 20)
    try LoopDevice.run(["mkfs.ext4", "-q", device.path])
    let mount = try Mount(place.path("mounted"), [device.path])
    let written = try ProbeTests.probe(
      [device.path, "--write", "--json"], input: device.path + "\n")
    #expect(written.status == 30, "\(written.errors)")
    #expect(try ProbeTests.probe([device.path, "--json"]).status == 0)
    withExtendedLifetime(mount) {}
  }

  @Test(
    "Direct I/O that is accepted and not done is found out",
    .enabled(if: LoopDevice.areAvailable, "needs root: loop devices"))
  func journalledData() throws {
    let place = try Workplace()
    let device = try LoopDevice(file: place.path("image"), byteCount: 32 << 20)
    try LoopDevice.run(["mkfs.ext4", "-q", device.path])
    let mount = try Mount(place.path("mounted"), ["-o", "data=journal", device.path])
    let json = try ProbeTests.probe([mount.folder, "--json"]).json
    // Kernels before 6.1 do not say it; the submissions then do.
    if json["alignment"]?["announcedOffsetBytes"] == 0 {
      #expect(json["directIO"] == false)
      #expect(codes(json).contains("directIgnored"))
    } else {
      #expect(codes(json).contains("synchronousSubmission"))
    }
  }

  @Test(
    "A file system without direct I/O is refused, unless buffered I/O is asked for",
    .enabled(if: geteuid() == 0, "needs root: mounts"))
  func withoutDirectIO() throws {
    let place = try Workplace()
    let mount = try Mount(place.path("ram"), ["-t", "ramfs", "none"])
    let refused = try ProbeTests.probe([mount.folder, "--json"])
    #expect(refused.status == 30, "\(refused.errors)")
    #expect(try refused.error["message"]?.text?.contains("--buffered") == true)
    #expect(try refused.error["message"]?.text?.contains(".kvctl-probe") == false)
    let buffered = try ProbeTests.probe(
      [mount.folder, "--buffered", "--engine", "threads", "--json"])
    #expect(buffered.status == 0, "\(buffered.errors)")
    #expect(try buffered.json["directIO"] == false)
    #expect(codes(try buffered.json).contains("buffered"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: mount.folder).isEmpty)
  }

  @Test("tmpfs: refused, or measured as what it is: memory")
  func memory() throws {
    guard FileManager.default.isWritableFile(atPath: "/dev/shm") else { return }
    let ended = try ProbeTests.probe(["/dev/shm", "--engine", "threads", "--json"])
    guard ended.status == 0 else {
      #expect(ended.status == 30, "\(ended.errors)")
      return
    }
    #expect(try ended.json["directIO"] == false)
    #expect(codes(try ended.json).contains("place"))
    let left = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
    #expect(!left.contains { $0.hasPrefix(".kvctl-probe") })
  }
}
