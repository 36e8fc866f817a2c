// Two opens of one file are told apart from opens of two files by what the kernel says, never by
// the path: (device, inode) of a regular file, the device number of a block device.

import CVarveAIO
import Glibc
import Synchronization

/// What an open file is, whatever path led there.
enum FileIdentity: Hashable, Sendable {
  case regularFile(device: UInt64, inode: UInt64)
  case blockDevice(number: UInt64)

  init(_ status: stat) {
    self =
      status.st_mode & S_IFMT == S_IFBLK
      ? .blockDevice(number: UInt64(status.st_rdev))
      : .regularFile(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }
}

/// The files that this process holds open: any number of readers, or one writer.
///
/// flock alone would do between descriptors, but a block device may have several inodes, and a
/// lock dies with the first close of a duplicate in a careless host.
enum OpenFileRegistry {
  /// Readers (1 and more) or a writer (-1) of each open file.
  private static let holders = Mutex<[FileIdentity: Int]>([:])

  /// Registers an opener, or returns nil if that would be a double open.
  static func register(_ identity: FileIdentity, isWriter: Bool) -> OpenFileLease? {
    let isFree = holders.withLock { holders in
      let count = holders[identity, default: 0]
      guard isWriter ? count == 0 : count >= 0 else { return false }
      holders[identity] = isWriter ? -1 : count + 1
      return true
    }
    return isFree ? OpenFileLease(identity) : nil
  }

  /// Who of this process holds a file; nil where nobody does.
  static func holder(_ identity: FileIdentity) -> LockHolder? {
    let count = holders.withLock { $0[identity, default: 0] }
    return count == 0 ? nil : LockHolder(processID: getpid(), isWriter: count < 0)
  }

  fileprivate static func unregister(_ identity: FileIdentity) {
    holders.withLock { holders in
      let count = holders[identity, default: 0]
      precondition(count != 0, "an open file is registered")
      holders[identity] = count > 1 ? count - 1 : nil
    }
  }
}

/// Who holds a file or device.
public struct LockHolder: Hashable, Sendable {
  /// The process.
  public var processID: Int32
  /// Whether it writes.
  public var isWriter: Bool
}

/// A place in the registry, given up with its owner.
struct OpenFileLease: ~Copyable, Sendable {
  private let identity: FileIdentity

  fileprivate init(_ identity: FileIdentity) { self.identity = identity }

  deinit { OpenFileRegistry.unregister(identity) }
}

/// Who holds a lock that was refused, and where a device is mounted, as /proc tells it.
enum KernelTables {
  /// Who holds a flock on a file, if /proc/locks names it: it leaves out processes of other
  /// namespaces.
  static func flockHolder(_ status: stat, in text: String? = nil) -> LockHolder? {
    let number = UInt64(status.st_dev)
    let file =
      hexadecimal(varve_device_major(number)) + ":" + hexadecimal(varve_device_minor(number))
      + ":\(status.st_ino)"
    // "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"; a waiting lock has "->" before FLOCK.
    for line in (text ?? KernelText.read("/proc/locks")).split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count >= 6, fields[1] == "FLOCK", fields[5] == file else { continue }
      return Int32(fields[4]).map { LockHolder(processID: $0, isWriter: fields[3] == "WRITE") }
    }
    return nil
  }

  /// Where the device of a number is mounted, if it is.
  static func mountPoint(ofDevice number: UInt64, in text: String? = nil) -> String? {
    let device = "\(varve_device_major(number)):\(varve_device_minor(number))"
    // "36 35 98:0 /root /mount/point options…": spaces in the path are escaped.
    for line in (text ?? KernelText.read("/proc/self/mountinfo")).split(separator: "\n") {
      let fields = line.split(separator: " ")
      if fields.count > 4, fields[2] == device { return String(fields[4]) }
    }
    return nil
  }

  private static func hexadecimal(_ number: UInt32) -> String {
    let digits = String(number, radix: 16)
    return digits.count < 2 ? "0" + digits : digits
  }
}
