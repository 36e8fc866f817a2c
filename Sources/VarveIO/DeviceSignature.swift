// What a device or file holds before a format: formatting the wrong device is the worst accident
// that can happen with a store, so whatever is recognised, or merely not zero, stops it.

/// Something that was found on a device.
public struct DeviceSignature: Hashable, Sendable, CustomStringConvertible {
  /// What it is: "ext2/3/4", "LUKS", "a Varve store", "unknown data".
  public let name: String
  /// Where it was recognised, in bytes from the start of the device.
  public let byteOffset: UInt64

  /// The name and the place.
  public var description: String { "\(name) (at byte \(byteOffset))" }

  /// As much is looked at, at both ends of the device.
  public static let edgeByteCount: UInt64 = 1 << 20

  /// The eight bytes with which every superblock of a store begins.
  static let superblockMagic = Array("VARVESB\0".utf8)

  private struct Mark {
    let name: String
    let byteOffsets: [Int]
    let bytes: [UInt8]

    init(_ name: String, _ byteOffsets: [Int], _ bytes: [UInt8]) {
      self.name = name
      self.byteOffsets = byteOffsets
      self.bytes = bytes
    }

    init(_ name: String, _ byteOffsets: [Int], _ text: String) {
      self.init(name, byteOffsets, Array(text.utf8))
    }
  }

  /// Counted from the start of the device. The specific ones come before the generic ones.
  private static let headMarks: [Mark] = [
    Mark("LUKS", [0, 16384], [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE]),
    Mark("LUKS", [16384], [0x53, 0x4B, 0x55, 0x4C, 0xBA, 0xBE]),
    Mark("an LVM2 physical volume", [0, 512, 1024, 1536], "LABELONE"),
    Mark("ext2/3/4", [1080], [0x53, 0xEF]),
    Mark("xfs", [0], "XFSB"),
    Mark("btrfs", [65536 + 64], "_BHRfS_M"),
    Mark("f2fs", [1024], [0x10, 0x20, 0xF5, 0xF2]),
    Mark("squashfs", [0], "hsqs"),
    Mark("ISO 9660", [32769], "CD001"),
    Mark("swap space", [4086, 65526], "SWAPSPACE2"),
    Mark("swap space", [4086, 65526], "SWAP-SPACE"),
    Mark("a Linux RAID member", [0, 4096], [0xFC, 0x4E, 0x2B, 0xA9]),
    Mark("bcache", [4096 + 24], [0xC6, 0x85, 0x73, 0xF6, 0x4E, 0x1A, 0x45, 0xCA]),
    Mark("zfs", Array(stride(from: 131_072, to: 262_144, by: 1024)), [0x0C, 0xB1, 0xBA, 0x00]),
    Mark("NTFS", [3], "NTFS    "),
    Mark("exFAT", [3], "EXFAT   "),
    Mark("FAT", [54, 82], "FAT"),
    Mark("a GPT partition table", [512, 4096], "EFI PART"),
  ]

  /// Counted back from the end of the device.
  private static let tailMarks: [Mark] = [
    Mark("a GPT partition table (backup)", [512, 4096], "EFI PART"),
    Mark("a Linux RAID member", [8192, 65536, 131_072], [0xFC, 0x4E, 0x2B, 0xA9]),
  ]

  /// Recognises what the first and last bytes of a device hold; nil if they are zero.
  ///
  /// `tailByteOffset` is the place of the tail's first byte on the device.
  public static func identify(head: [UInt8], tail: [UInt8], tailByteOffset: UInt64)
    -> DeviceSignature?
  {
    for mark in headMarks {
      for byteOffset in mark.byteOffsets where holds(head, mark.bytes, at: byteOffset) {
        return DeviceSignature(name: mark.name, byteOffset: UInt64(byteOffset))
      }
    }
    for mark in tailMarks {
      for distance in mark.byteOffsets where distance <= tail.count {
        guard holds(tail, mark.bytes, at: tail.count - distance) else { continue }
        return DeviceSignature(
          name: mark.name, byteOffset: tailByteOffset + UInt64(tail.count - distance))
      }
    }
    if hasPartitions(head) {
      return DeviceSignature(name: "an MBR partition table", byteOffset: 446)
    }
    if let index = head.firstIndex(where: { $0 != 0 }) {
      return DeviceSignature(name: "unknown data", byteOffset: UInt64(index))
    }
    guard let index = tail.firstIndex(where: { $0 != 0 }) else { return nil }
    return DeviceSignature(name: "unknown data", byteOffset: tailByteOffset + UInt64(index))
  }

  private static func holds(_ bytes: [UInt8], _ mark: [UInt8], at byteOffset: Int) -> Bool {
    byteOffset >= 0 && byteOffset + mark.count <= bytes.count
      && bytes[byteOffset..<(byteOffset + mark.count)].elementsEqual(mark)
  }

  /// The boot signature and at least one entry with a type.
  private static func hasPartitions(_ head: [UInt8]) -> Bool {
    guard holds(head, [0x55, 0xAA], at: 510) else { return false }
    return (0..<4).contains { head[446 + 16 * $0 + 4] != 0 }
  }
}

extension DirectFile {
  /// Looks at the first and last MiB, and for superblocks of a store at the given places.
  ///
  /// - Returns: what was recognised, "unknown data" where bytes are not zero, or nil.
  /// - Throws: `DeviceError` with code `io`.
  public borrowing func signature(superblockByteOffsets: [UInt64])
    throws(DeviceError) -> DeviceSignature?
  {
    for byteOffset in superblockByteOffsets {
      guard byteOffset % 4096 == 0, byteCount >= 4096, byteOffset <= byteCount - 4096 else {
        continue
      }
      let page = try bytes(at: byteOffset, byteCount: 4096)
      if page.starts(with: DeviceSignature.superblockMagic) {
        return DeviceSignature(name: "a Varve store", byteOffset: byteOffset)
      }
    }
    let edge = min(DeviceSignature.edgeByteCount, byteCount)
    return DeviceSignature.identify(
      head: try bytes(at: 0, byteCount: Int(edge)),
      tail: try bytes(at: byteCount - edge, byteCount: Int(edge)),
      tailByteOffset: byteCount - edge)
  }

  private borrowing func bytes(at byteOffset: UInt64, byteCount: Int)
    throws(DeviceError) -> [UInt8]
  {
    let memory = AlignedMemory(byteCount: max(byteCount, 1))
    // SAFETY: the memory has at least `byteCount` bytes and lives until it has been copied.
    let buffer = unsafe UnsafeMutableRawBufferPointer(start: memory.base, count: byteCount)
    try unsafe read(into: buffer, byteOffset: byteOffset)
    return unsafe Array(buffer)
  }
}
