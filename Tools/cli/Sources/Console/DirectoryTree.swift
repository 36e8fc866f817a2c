import Glibc

/// The entries below a folder, in the order of their names, whatever their bytes are. Links are not
/// followed.
public struct DirectoryTree: Sequence, Sendable {
  /// Something below the folder.
  public struct Entry: Hashable, Sendable {
    /// What it is.
    public enum Kind: Hashable, Sendable {
      /// A regular file of so many bytes.
      case file(byteCount: Int)
      /// A symbolic link.
      case link
      /// A device, a FIFO or a socket.
      case special
      /// A file or folder that the system does not show.
      case unreadable(errorNumber: Int32)
    }

    /// The path from the folder, as the file system has it.
    public let relativePath: [UInt8]
    /// What it is.
    public let kind: Kind
  }

  /// The folder.
  public let root: [UInt8]

  /// Names a folder.
  ///
  /// - Throws: where it is none.
  public init(path: String) throws(ToolError) {
    var root = Array(path.utf8)
    while root.count > 1, root.last == UInt8(ascii: "/") { root.removeLast() }
    self.root = root
    guard Self.names(in: root) != nil else {
      throw .system("the folder \(path)", errorNumber: errno)
    }
  }

  /// The full path of an entry.
  public func path(of relativePath: [UInt8]) -> [UInt8] {
    relativePath.isEmpty ? root : root + [UInt8(ascii: "/")] + relativePath
  }

  /// Whether this user may read a file of the tree. A link is not followed.
  public func isReadable(_ relativePath: [UInt8]) -> Bool {
    // SAFETY: the path ends with a zero and lives through the call.
    unsafe PathBytes.withCString(path(of: relativePath)) {
      unsafe faccessat(AT_FDCWD, $0, R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0
    }
  }

  /// Begins a walk.
  public func makeIterator() -> Iterator { Iterator(tree: self) }

  /// One walk through the tree: holds the names of the folders on the way down.
  public struct Iterator: IteratorProtocol {
    private let tree: DirectoryTree
    /// Names still to visit, per level, in falling order.
    private var levels: [(folder: [UInt8], names: [[UInt8]])]

    init(tree: DirectoryTree) {
      self.tree = tree
      levels = [([], DirectoryTree.names(in: tree.root) ?? [])]
    }

    /// The next entry that is no folder, or nil at the end.
    public mutating func next() -> Entry? {
      while let level = levels.last {
        guard let name = level.names.last else {
          levels.removeLast()
          continue
        }
        levels[levels.count - 1].names.removeLast()
        let relative = level.folder.isEmpty ? name : level.folder + [UInt8(ascii: "/")] + name
        switch DirectoryTree.mode(of: tree.path(of: relative)) {
        case .failure(let number):
          return Entry(relativePath: relative, kind: .unreadable(errorNumber: number))
        case .found(let mode, let byteCount):
          switch mode & S_IFMT {
          case S_IFREG: return Entry(relativePath: relative, kind: .file(byteCount: byteCount))
          case S_IFLNK: return Entry(relativePath: relative, kind: .link)
          case S_IFDIR:
            guard let names = DirectoryTree.names(in: tree.path(of: relative)) else {
              return Entry(relativePath: relative, kind: .unreadable(errorNumber: errno))
            }
            levels.append((relative, names))
          default: return Entry(relativePath: relative, kind: .special)
          }
        }
      }
      return nil
    }
  }

  private enum Status {
    case found(mode: mode_t, byteCount: Int)
    case failure(errorNumber: Int32)
  }

  private static func mode(of path: [UInt8]) -> Status {
    var status = stat()
    // SAFETY: the path ends with a zero and lives through the call.
    let result = unsafe PathBytes.withCString(path) { unsafe lstat($0, &status) }
    guard result == 0 else { return .failure(errorNumber: errno) }
    return .found(mode: status.st_mode, byteCount: Int(status.st_size))
  }

  /// The names in a folder, in falling order, or nil with `errno` set.
  private static func names(in path: [UInt8]) -> [[UInt8]]? {
    // SAFETY: the path ends with a zero; the stream is closed before the function returns, and an
    // entry is used before the next call of readdir.
    guard let stream = unsafe PathBytes.withCString(path, { unsafe opendir($0) }) else {
      return nil
    }
    defer { unsafe closedir(stream) }
    var names: [[UInt8]] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe Array(bytes.prefix { $0 != 0 })
      }
      if name != [46], name != [46, 46] { names.append(name) }
    }
    return names.sorted { $1.lexicographicallyPrecedes($0) }
  }
}
