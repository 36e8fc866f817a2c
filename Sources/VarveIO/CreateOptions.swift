/// How a file is created, or an existing file or device is given to a new format.
public struct CreateOptions: Sendable {
  /// The bytes of the file, rounded down to a multiple of 4096; nil keeps the bytes of a device or
  /// of an existing file.
  public var byteCount: UInt64?
  /// Whether what exists may be overwritten: an existing file, or a device that holds something.
  public var force: Bool
  /// Whether buffered I/O is accepted where the file system gives no direct I/O.
  public var allowBuffered: Bool
  /// Where the superblocks of a store of so many bytes lie: looked at on a device, and invalidated
  /// before anything else when a store is overwritten.
  public var superblockByteOffsets: @Sendable (UInt64) -> [UInt64]

  /// A new file of `byteCount` bytes that must not exist yet.
  public init(
    byteCount: UInt64? = nil, force: Bool = false, allowBuffered: Bool = false,
    superblockByteOffsets: @escaping @Sendable (UInt64) -> [UInt64] = { _ in [] }
  ) {
    self.byteCount = byteCount
    self.force = force
    self.allowBuffered = allowBuffered
    self.superblockByteOffsets = superblockByteOffsets
  }
}
