// What a path leads to, found out without opening it: opening a FIFO or a character device may
// hang or have effects. The descriptor is checked again after the open.

import Glibc

/// A path after its links have been judged.
struct PathTarget {
  /// The path to open, without following links.
  let path: String
  /// Where a link under /dev led, or nil.
  let resolvedTarget: String?
  let status: stat

  /// Whether it is a block device.
  var isBlockDevice: Bool { status.st_mode & S_IFMT == S_IFBLK }

  /// Links under /dev may lead to links; more than this many is a cycle.
  private static let maximumLinkCount = 8

  /// Looks at a path.
  ///
  /// Symbolic links are refused, except those under /dev that root owns and that lead to a block
  /// device: whoever could plant a link elsewhere could have a store written over another file.
  init(_ path: String) throws(DeviceError) {
    guard !path.utf8.isEmpty, !path.utf8.contains(0) else {
      throw DeviceError(
        .notFound, path: path, errorNumber: ENOENT, message: "the path of the store is empty")
    }
    var current = path
    var status = try Self.status(of: current, path)
    var linkCount = 0
    while status.st_mode & S_IFMT == S_IFLNK {
      linkCount += 1
      let folder = Self.realPath(Self.folder(of: current))
      guard linkCount <= Self.maximumLinkCount, status.st_uid == 0,
        let folder, folder == "/dev" || folder.hasPrefix("/dev/"),
        let target = Self.linkTarget(current)
      else { throw Self.linkError(path) }
      current = target.hasPrefix("/") ? target : folder + "/" + target
      status = try Self.status(of: current, path)
    }
    if linkCount > 0, status.st_mode & S_IFMT != S_IFBLK { throw Self.linkError(path) }
    try Self.checkKind(status, path)
    self.path = current
    resolvedTarget = linkCount > 0 ? Self.realPath(current) ?? current : nil
    self.status = status
  }

  /// Refuses what is neither a regular file nor a block device.
  static func checkKind(_ status: stat, _ path: String) throws(DeviceError) {
    let kind: String
    switch status.st_mode & S_IFMT {
    case S_IFREG, S_IFBLK: return
    case S_IFDIR:
      throw DeviceError(
        .isDirectory, path: path, errorNumber: EISDIR,
        message: "\(path) is a directory: name a file inside it")
    case S_IFLNK: throw linkError(path)
    case S_IFIFO: kind = "a FIFO"
    case S_IFCHR: kind = "a character device"
    case S_IFSOCK: kind = "a socket"
    default: kind = "of an unknown kind"
    }
    throw DeviceError(
      .notRegularFile, path: path,
      message: "\(path) is \(kind): a store is a regular file or a block device")
  }

  /// The folder in which a path lies.
  static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The last component of a path.
  static func name(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
    return String(path[path.utf8.index(after: slash)...])
  }

  private static func linkError(_ path: String) -> DeviceError {
    DeviceError(
      .symbolicLink, path: path, errorNumber: ELOOP,
      message: "\(path) is a symbolic link, which is followed only under /dev, where root owns it"
        + " and it leads to a block device: name the target itself")
  }

  private static func status(of current: String, _ path: String) throws(DeviceError) -> stat {
    var status = stat()
    guard unsafe lstat(current, &status) == 0 else {
      throw .system("open", path: path, errorNumber: errno)
    }
    return status
  }

  private static func realPath(_ path: String) -> String? {
    // SAFETY: realpath returns nil or a zero-terminated string that the caller frees.
    guard let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  private static func linkTarget(_ path: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: readlink fills at most the bytes that it is lent, without a terminating zero.
    let count = unsafe bytes.withUnsafeMutableBytes { buffer in
      guard let base = unsafe buffer.assumingMemoryBound(to: CChar.self).baseAddress else {
        return 0
      }
      return unsafe readlink(path, base, buffer.count)
    }
    guard count > 0, count < bytes.count else { return nil }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
