import CVarveAIO

/// The kind of file system that a store lies on, and what is to be said about it.
public struct FileSystemKind: Hashable, Sendable, CustomStringConvertible {
  /// The usual name, or the magic number in hexadecimal for a kind that is not in the list.
  public let name: String
  /// Why a store does not belong there, or nil.
  public let warning: String?

  /// The name.
  public var description: String { name }

  /// Looks up the magic number that statfs gives.
  init(magic: UInt64) {
    switch magic {
    case 0xEF53: self.init("ext4")
    case 0x5846_5342: self.init("xfs")
    case 0xF2F5_2010: self.init("f2fs")
    case 0x9123_683E:
      self.init("btrfs", "btrfs copies on write: turn that off for the file (chattr +C)")
    case 0x2FC1_2FC1:
      self.init("zfs", "zfs copies on write and caches again what the store caches")
    case 0x0102_1994, 0x8584_58F6:
      self.init(
        magic == 0x0102_1994 ? "tmpfs" : "ramfs",
        "a file in memory survives no restart of the machine: put the store on a disk")
    case 0x794C_7630:
      self.init(
        "overlayfs",
        "an overlay (the file system of a container) may be thrown away with the container and"
          + " copies a file on its first write: put the store on a mounted volume")
    case 0x6969: self.init("nfs", Self.networkWarning)
    case 0xFF53_4D42, 0xFE53_4D42, 0x517B: self.init("cifs", Self.networkWarning)
    case 0x00C3_6400: self.init("ceph", Self.networkWarning)
    case 0x0102_1997: self.init("9p", Self.networkWarning)
    case 0x6573_5546:
      self.init("fuse", "a FUSE server may cache or ignore flushes: put the store on a local disk")
    default: self.init("0x" + String(magic, radix: 16))
    }
  }

  /// A kind by name: "device" stands for no file system at all.
  init(_ name: String, _ warning: String? = nil) {
    self.name = name
    self.warning = warning
  }

  private static let networkWarning =
    "locks and flushes over a network depend on the server: put the store on a local disk"

  /// The file system that an open descriptor lies on.
  static func of(descriptor: Int32) -> FileSystemKind {
    var magic: UInt64 = 0
    // SAFETY: the shim writes one integer.
    let result = unsafe varve_file_system_magic(descriptor, &magic)
    return result == 0 ? FileSystemKind(magic: magic) : FileSystemKind("unknown")
  }
}
