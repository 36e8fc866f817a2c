// The name of a server in the file system: a Unix socket that only its owner may connect to.
//
// Invariants:
// - nobody else may connect, not even for a moment: the name is made with mode 0600 at most, and
//   the kernel refuses connections until `listen`;
// - what lies at the path and is not a socket that nobody answers on is left alone, and a symbolic
//   link is not followed;
// - only the name that this socket made is removed, whoever replaced it since. Its inode is not
//   used again while the socket is open, so the number tells.

import CVarveAIO
import Glibc

/// A listening Unix socket with a path.
struct LocalSocket: ~Copyable {
  private let descriptor: Descriptor
  /// The folder: the name is removed from it wherever the process has gone since.
  private let folder: Descriptor
  private let name: String
  private let identity: FileKey

  private struct FileKey: Equatable {
    var device: dev_t
    var inode: ino_t
  }

  /// The longest path that the kernel takes, in bytes.
  static var maximumPathByteCount: Int { Int(varve_local_path_limit()) }
  /// Connections that wait to be taken; who comes then is told to try again.
  private static let backlog: Int32 = 8

  /// What system calls take.
  var number: Int32 { descriptor.rawValue }

  private init(
    _ descriptor: consuming Descriptor, _ folder: consuming Descriptor, name: String,
    identity: FileKey
  ) {
    self.descriptor = descriptor
    self.folder = folder
    self.name = name
    self.identity = identity
  }

  /// Makes the name and listens.
  ///
  /// - Throws: `exists` where something else lies there, `inUse` where somebody answers there,
  ///   `tooLarge` for a path over the limit, and what the system refuses.
  static func listening(at path: String) throws(DeviceError) -> LocalSocket {
    let socket = try bound(to: path)
    // The name goes with the socket where this fails.
    guard listen(socket.number, backlog) == 0 else {
      throw .system("listen on", path: path, errorNumber: errno)
    }
    // Two that found the same stale socket at the same time: the later one has the name.
    guard key(of: socket.name, in: socket.folder) == socket.identity else { throw inUse(path) }
    return socket
  }

  private static func bound(to path: String) throws(DeviceError) -> LocalSocket {
    try check(path)
    let number = openDescriptor(PathTarget.folder(of: path), flags: O_RDONLY | O_DIRECTORY)
    guard number >= 0 else {
      throw .system("open the folder of", path: path, errorNumber: -number)
    }
    let folder = Descriptor(adopting: number)
    let name = PathTarget.name(of: path)
    let descriptor = try unbound(path)
    var result = bind(descriptor, path)
    if result == -EADDRINUSE {
      try removeStale(path, name, in: folder)
      result = bind(descriptor, path)
    }
    guard result == 0 else { throw .system("bind", path: path, errorNumber: -result) }
    result = protect(name, in: folder)
    guard result == 0, let identity = key(of: name, in: folder) else {
      _ = unsafe unlinkat(folder.rawValue, name, 0)
      throw .system("set the mode of", path: path, errorNumber: result == 0 ? ENOENT : -result)
    }
    return LocalSocket(descriptor, folder, name: name, identity: identity)
  }

  deinit { removeName() }

  /// Takes the name away, if it is still this socket's.
  func removeName() {
    guard LocalSocket.key(of: name, in: folder) == identity else { return }
    _ = unsafe unlinkat(folder.rawValue, name, 0)
  }

  /// Refuses what can be no path of a socket, without looking at the file system.
  static func check(_ path: String) throws(DeviceError) {
    guard !path.utf8.isEmpty, !path.utf8.contains(0), !path.utf8.elementsEqual([47]) else {
      throw DeviceError(
        .notFound, path: path, errorNumber: ENOENT, message: "the path of the socket is empty")
    }
    guard path.utf8.count <= maximumPathByteCount else {
      throw DeviceError(
        .tooLarge, path: path, errorNumber: ENAMETOOLONG,
        message: "the path of the socket has \(path.utf8.count) bytes, and a Unix socket takes "
          + "\(maximumPathByteCount): \(path); choose a shorter one, such as one under /run")
    }
  }

  private static func unbound(_ path: String) throws(DeviceError) -> Descriptor {
    let number = varve_local_socket()
    guard number >= 0 else { throw .system("make a socket for", path: path, errorNumber: -number) }
    return Descriptor(adopting: number)
  }

  private static func bind(_ descriptor: borrowing Descriptor, _ path: String) -> Int32 {
    // SAFETY: Swift lends the path as a zero-terminated string for the duration of the call.
    unsafe path.withCString { unsafe varve_local_bind(descriptor.rawValue, $0) }
  }

  /// Sets the mode, whatever the umask has left of it.
  private static func protect(_ name: String, in folder: borrowing Descriptor) -> Int32 {
    // SAFETY: Swift lends the name as a zero-terminated string for the duration of the call.
    unsafe name.withCString { unsafe varve_local_protect(folder.rawValue, $0) }
  }

  /// Removes the socket of a process that is gone.
  private static func removeStale(
    _ path: String, _ name: String, in folder: borrowing Descriptor
  ) throws(DeviceError) {
    var status = stat()
    guard unsafe fstatat(folder.rawValue, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw DeviceError(
        .exists, path: path, errorNumber: EEXIST,
        message: "\(path) is something else than a socket, and was left alone: choose another path")
    }
    let probe = try unbound(path)
    // SAFETY: Swift lends the path as a zero-terminated string for the duration of the call.
    let result = unsafe path.withCString { unsafe varve_local_connect(probe.rawValue, $0) }
    switch result {
    case -ECONNREFUSED: _ = unsafe unlinkat(folder.rawValue, name, 0)
    case 0, -EAGAIN: throw inUse(path)
    case -ENOENT: return
    default: throw .system("look who answers on", path: path, errorNumber: -result)
    }
  }

  private static func inUse(_ path: String) -> DeviceError {
    DeviceError(
      .inUse, path: path, errorNumber: EADDRINUSE,
      message: "another process answers on \(path): give each store a socket of its own")
  }

  private static func key(of name: String, in folder: borrowing Descriptor) -> FileKey? {
    var status = stat()
    guard unsafe fstatat(folder.rawValue, name, &status, AT_SYMLINK_NOFOLLOW) == 0,
      status.st_mode & S_IFMT == S_IFSOCK
    else { return nil }
    return FileKey(device: status.st_dev, inode: status.st_ino)
  }
}
