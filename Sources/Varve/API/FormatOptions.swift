/// How a new store is laid out.
public struct FormatOptions: Sendable {
  /// The byte count of the store, at least 2 MiB and 32 segments; nil takes the whole device, and is
  /// an error for a file.
  public var byteCount: UInt64?
  /// The byte count of a segment, a power of two from 32 KiB to 64 MiB; nil takes 1/256 of the
  /// store.
  public var segmentByteCount: Int?
  /// A name for people and metrics, at most 64 bytes of UTF-8.
  public var label: String
  /// Whether what the device or file holds may be destroyed.
  public var force: Bool
  /// Called now and then while a file is filled with zeros: bytes done, bytes in all.
  public var progress: (@Sendable (_ byteCountDone: UInt64, _ byteCount: UInt64) -> Void)?

  /// Sets the options.
  public init(
    byteCount: UInt64? = nil, segmentByteCount: Int? = nil, label: String = "",
    force: Bool = false,
    progress: (@Sendable (_ byteCountDone: UInt64, _ byteCount: UInt64) -> Void)? = nil
  ) {
    self.byteCount = byteCount
    self.segmentByteCount = segmentByteCount
    self.label = label
    self.force = force
    self.progress = progress
  }
}
