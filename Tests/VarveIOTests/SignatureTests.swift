import Glibc
import Testing

@testable import VarveIO

@Suite struct SignatureTests {
  /// 1 MiB of zeros with bytes put somewhere.
  func edge(_ byteOffset: Int, _ bytes: [UInt8]) -> [UInt8] {
    var edge = [UInt8](repeating: 0, count: 1 << 20)
    edge.replaceSubrange(byteOffset..<(byteOffset + bytes.count), with: bytes)
    return edge
  }

  let zeros = [UInt8](repeating: 0, count: 1 << 20)

  @Test func headsAreRecognised() {
    let cases: [(Int, [UInt8], String)] = [
      (1080, [0x53, 0xEF], "ext2/3/4"), (0, Array("XFSB".utf8), "xfs"),
      (65600, Array("_BHRfS_M".utf8), "btrfs"),
      (0, [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE], "LUKS"),
      (512, Array("EFI PART".utf8), "a GPT partition table"),
      (512, Array("LABELONE".utf8), "an LVM2 physical volume"),
      (4086, Array("SWAPSPACE2".utf8), "swap space"), (0, Array("hsqs".utf8), "squashfs"),
      (5, [1], "unknown data"), (1_048_575, [1], "unknown data"),
    ]
    for (byteOffset, bytes, name) in cases {
      let found = DeviceSignature.identify(
        head: edge(byteOffset, bytes), tail: zeros, tailByteOffset: 1 << 20)
      #expect(found == DeviceSignature(name: name, byteOffset: UInt64(byteOffset)))
    }
    #expect(DeviceSignature.identify(head: zeros, tail: zeros, tailByteOffset: 0) == nil)
    #expect(DeviceSignature.identify(head: [], tail: [], tailByteOffset: 0) == nil)
  }

  @Test func partitionTablesAreRecognised() {
    var head = edge(510, [0x55, 0xAA])
    let name = { (head: [UInt8]) in
      DeviceSignature.identify(head: head, tail: self.zeros, tailByteOffset: 0)?.name
    }
    #expect(name(head) == "unknown data")
    head[446 + 4] = 0x83
    #expect(name(head) == "an MBR partition table")
  }

  @Test func tailsAreRecognised() {
    let backup = edge((1 << 20) - 512, Array("EFI PART".utf8))
    #expect(
      DeviceSignature.identify(head: zeros, tail: backup, tailByteOffset: 1 << 30)
        == DeviceSignature(
          name: "a GPT partition table (backup)", byteOffset: (1 << 30) + (1 << 20) - 512))
    #expect(
      DeviceSignature.identify(head: zeros, tail: edge(7, [9]), tailByteOffset: 1 << 30)
        == DeviceSignature(name: "unknown data", byteOffset: (1 << 30) + 7))
  }

  @Test func storesAreFoundAwayFromTheEdges() throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 4 << 20))
    #expect(try file.signature(superblockByteOffsets: [0, 2 << 20]) == nil)
    let page = Buffer(4096)
    DeviceSignature.superblockMagic.withUnsafeBytes {
      page.base.copyMemory(from: $0.baseAddress!, byteCount: 8)
    }
    try file.write(UnsafeRawBufferPointer(start: page.base, count: 4096), byteOffset: 2 << 20)
    #expect(try file.signature(superblockByteOffsets: []) == nil)
    let found = try file.signature(superblockByteOffsets: [0, 2 << 20, 1 << 40, 5])
    #expect(found == DeviceSignature(name: "a Varve store", byteOffset: 2 << 20))
    try file.close()
  }

  @Test(.enabled(if: LoopDevice.isAvailable, "loop devices need root"))
  func devicesWithDataAreRefused() throws {
    let loop = try LoopDevice(byteCount: 16 << 20)
    #expect(run("mkfs.ext4 -q \(loop.path)").status == 0)
    let error = try deviceError { try DirectFile.create(loop.path, options: CreateOptions()) }
    #expect(error.code == .holdsData && error.message.contains("ext2/3/4"))
    let point = loop.folder.file("mount")
    #expect(mkdir(point, 0o700) == 0)
    #expect(run("mount \(loop.path) \(point)").status == 0)
    let mounted = try deviceError {
      try DirectFile.create(loop.path, options: CreateOptions(force: true))
    }
    #expect(mounted.code == .mounted && mounted.message.contains(point))
    #expect(try deviceError { try DirectFile.open(loop.path) }.code == .mounted)
    #expect(run("umount \(point)").status == 0)
    let large = CreateOptions(byteCount: 1 << 30, force: true)
    #expect(try deviceError { try DirectFile.create(loop.path, options: large) }.code == .tooLarge)
    let file = try DirectFile.create(loop.path, options: CreateOptions(force: true))
    #expect(try file.signature(superblockByteOffsets: []) == nil)
    // A second writer is refused by the registry here, and by O_EXCL anywhere.
    #expect(try deviceError { try DirectFile.open(loop.path) }.code == .inUse)
    try file.close()
  }

  @Test(.enabled(if: LoopDevice.isAvailable, "links under /dev need root"))
  func linksUnderDevAreFollowedToDevices() throws {
    let loop = try LoopDevice(byteCount: 4 << 20)
    let good = "/dev/varve-io-\(getpid())"
    let bad = "/dev/varve-io-\(getpid())-bad"
    defer {
      unlink(good)
      unlink(bad)
    }
    #expect(symlink(PathTarget.name(of: loop.path), good) == 0)
    let file = try DirectFile.open(good)
    #expect(file.resolvedTarget == loop.path && file.kind == .blockDevice)
    try file.close()
    let regular = try loop.folder.write("regular", Array(repeating: 0, count: 4096))
    #expect(symlink(regular, bad) == 0)
    #expect(try deviceError { try DirectFile.open(bad) }.code == .symbolicLink)
    #expect(lchown(good, 1, 1) == 0)
    #expect(try deviceError { try DirectFile.open(good) }.code == .symbolicLink)
  }
}
