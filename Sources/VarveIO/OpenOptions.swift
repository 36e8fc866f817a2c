/// How a file or device is opened.
public struct OpenOptions: Sendable {
  /// Reading, or reading and writing.
  public var access: FileAccess
  /// Which lock is taken.
  public var lock: LockMode
  /// Whether buffered I/O is accepted where the file system gives no direct I/O.
  public var allowBuffered: Bool

  /// Opens for reading and writing, locked, with direct I/O.
  public init(
    access: FileAccess = .readWrite, lock: LockMode = .automatic, allowBuffered: Bool = false
  ) {
    self.access = access
    self.lock = lock
    self.allowBuffered = allowBuffered
  }
}
