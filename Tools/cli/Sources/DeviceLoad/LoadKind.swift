import VarveIO

/// What a load asks of a device, over and over.
public enum LoadKind: String, Sendable, CaseIterable {
  /// 4 KiB from a random place.
  case randomRead
  /// 1 MiB after the other.
  case sequentialRead
  /// 4 KiB to a random place.
  case randomWrite
  /// 1 MiB after the other.
  case sequentialWrite
  /// 4 KiB to a random place, then a flush: counted as one.
  case flushedWrite

  /// The bytes of one request.
  public var byteCount: Int {
    switch self {
    case .randomRead, .randomWrite, .flushedWrite: DataRegion.pageByteCount
    case .sequentialRead, .sequentialWrite: DataRegion.blockByteCount
    }
  }

  /// Whether it changes what the device holds.
  public var isWriting: Bool {
    switch self {
    case .randomRead, .sequentialRead: false
    case .randomWrite, .sequentialWrite, .flushedWrite: true
    }
  }

  /// Whether its requests follow each other.
  public var isSequential: Bool { self == .sequentialRead || self == .sequentialWrite }

  var operation: IOOperation { isWriting ? .write : .read }
}
