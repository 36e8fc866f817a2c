// An open file or block device for direct I/O, with its locks. Opening is in DirectFile+Open.swift,
// creating and formatting in DirectFile+Create.swift.
//
// Invariants:
// - The descriptor is a regular file or a block device, checked on the descriptor itself.
// - A writer holds the exclusive lock and the only place in the process's registry; a reader holds
//   shared ones; `LockMode.none` holds nothing and can only read.

import CVarveAIO
import Glibc

/// How a file is opened.
public enum FileAccess: Sendable {
  /// For reading; flushing works, too.
  case readOnly
  /// For reading and writing.
  case readWrite
}

/// Which lock an open takes.
public enum LockMode: Sendable {
  /// Exclusive for a writer, shared for a reader.
  case automatic
  /// None: to look at a store that another process may be writing. Read-only.
  case none
}

/// What a path led to.
public enum FileKind: Sendable {
  /// A regular file.
  case regularFile
  /// A block device.
  case blockDevice
}

/// An open file or block device: one owner, closed once.
public struct DirectFile: ~Copyable, Sendable {
  /// The path as it was given.
  public let path: String
  /// Where a link under /dev led, or nil where the path was no link.
  public let resolvedTarget: String?
  /// What lies at the path.
  public let kind: FileKind
  /// What the owner may do.
  public let access: FileAccess
  /// Whether I/O bypasses the page cache.
  public let isDirect: Bool
  /// What the file lies on.
  public let fileSystem: FileSystemKind
  /// The bytes that can be addressed, rounded down to a multiple of 4096.
  public internal(set) var byteCount: UInt64
  private let descriptor: Descriptor
  private let lease: OpenFileLease?

  init(
    path: String, resolvedTarget: String?, kind: FileKind, access: FileAccess, isDirect: Bool,
    byteCount: UInt64, descriptor: consuming Descriptor, lease: consuming OpenFileLease?
  ) {
    self.path = path
    self.resolvedTarget = resolvedTarget
    self.kind = kind
    self.access = access
    self.isDirect = isDirect
    self.byteCount = byteCount & ~4095
    fileSystem =
      kind == .blockDevice
      ? FileSystemKind("device") : FileSystemKind.of(descriptor: descriptor.rawValue)
    self.descriptor = descriptor
    self.lease = lease
  }

  /// The descriptor's number: valid while this value lives.
  public var descriptorNumber: Int32 { descriptor.rawValue }

  /// The status of what is open.
  borrowing func status() throws(DeviceError) -> stat {
    let (status, errorNumber) = descriptor.status()
    guard errorNumber == 0 else { throw .system("measure", path: path, errorNumber: errorNumber) }
    return status
  }

  /// Who holds the lock of the file, where the kernel names it: through another descriptor, if this
  /// one was opened without a lock. Asking takes no lock, so it is in nobody's way.
  public borrowing func lockHolder() -> LockHolder? {
    let (status, errorNumber) = descriptor.status()
    guard errorNumber == 0 else { return nil }
    return OpenFileRegistry.holder(FileIdentity(status)) ?? KernelTables.flockHolder(status)
  }

  /// Another descriptor of the same open file, for a second engine on it. It has no part in the
  /// locks: whoever needs them keeps this value until the other is closed.
  ///
  /// - Throws: `DeviceError` with code `resource` when descriptors are used up.
  public borrowing func duplicate() throws(DeviceError) -> DirectFile {
    let number = fcntl(descriptor.rawValue, F_DUPFD_CLOEXEC, 0)
    guard number >= 0 else { throw .system("open again", path: path, errorNumber: errno) }
    return DirectFile(
      path: path, resolvedTarget: resolvedTarget, kind: kind, access: access, isDirect: isDirect,
      byteCount: byteCount, descriptor: Descriptor(adopting: number), lease: nil)
  }

  /// Closes the descriptor and gives up the locks.
  ///
  /// - Throws: `DeviceError` if the kernel reports an error; the descriptor is closed all the same.
  public consuming func close() throws(DeviceError) {
    let path = path
    let errorNumber = descriptor.close()
    // The place in the registry is given up after the lock, so that nobody meets the lock.
    _ = consume lease
    guard errorNumber == 0 else {
      throw .system("close", path: path, errorNumber: errorNumber)
    }
  }

  // MARK: Blocking I/O, for opening, formatting and looking at a store without an engine

  /// Reads into all of `memory` from `byteOffset`; all three are multiples of 512.
  ///
  /// - Throws: `DeviceError` with code `io`, also when the file ends before the memory is filled.
  public borrowing func read(into memory: UnsafeMutableRawBufferPointer, byteOffset: UInt64)
    throws(DeviceError)
  {
    var done = 0
    while done < memory.count {
      // SAFETY: reads into what is left of the memory that the caller lends.
      let result = unsafe varve_read_at(
        descriptor.rawValue, memory.baseAddress.map { unsafe $0 + done }, memory.count - done,
        Int64(bitPattern: byteOffset + UInt64(done)))
      guard result > 0 else {
        throw .system("read", path: path, errorNumber: result == 0 ? EIO : Int32(-result))
      }
      done += Int(result)
    }
  }

  /// Writes all of `memory` at `byteOffset`; all three are multiples of 512.
  ///
  /// - Throws: `DeviceError`, with code `noSpace` where the device or the file system is full.
  public borrowing func write(_ memory: UnsafeRawBufferPointer, byteOffset: UInt64)
    throws(DeviceError)
  {
    var done = 0
    while done < memory.count {
      // SAFETY: writes from what is left of the memory that the caller lends.
      let result = unsafe varve_write_at(
        descriptor.rawValue, memory.baseAddress.map { unsafe $0 + done }, memory.count - done,
        Int64(bitPattern: byteOffset + UInt64(done)), 0)
      guard result > 0 else {
        throw .system("write", path: path, errorNumber: result == 0 ? ENOSPC : Int32(-result))
      }
      done += Int(result)
    }
  }

  /// Makes everything durable that has been written. Never to be repeated after a failure.
  ///
  /// - Throws: `DeviceError` with code `io`.
  public borrowing func flush() throws(DeviceError) {
    let result = varve_flush(descriptor.rawValue)
    guard result == 0 else { throw .system("flush", path: path, errorNumber: -result) }
  }
}
