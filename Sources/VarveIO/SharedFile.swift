import Synchronization

/// A file that the threads of a device share: closed explicitly by the device, once none of them
/// uses the descriptor any more, or with the last of them.
final class SharedFile: Sendable {
  let descriptor: Int32
  let path: String
  let isWritable: Bool
  /// The unit in which the device takes note of discards; nil where it takes none.
  let discardGranularityByteCount: Int?
  let isExtensible: Bool
  private let addressableByteCount: Atomic<UInt64>
  private let file: Mutex<DirectFile?>
  /// Threads and groups of threads that may use the descriptor: the device's own are one.
  private let userCount = Atomic<Int>(1)

  init(_ file: consuming DirectFile) {
    descriptor = file.descriptorNumber
    path = file.path
    addressableByteCount = Atomic(file.byteCount)
    isWritable = file.access == .readWrite
    discardGranularityByteCount = SharedFile.discardGranularityByteCount(of: file)
    isExtensible = file.kind == .regularFile
    self.file = Mutex(consume file)
  }

  /// A hole in a file would have to be allocated again, with metadata that every write waits for:
  /// files are not discarded.
  private static func discardGranularityByteCount(of file: borrowing DirectFile) -> Int? {
    guard file.kind == .blockDevice, file.access == .readWrite,
      let byteCount = file.traits().discardGranularityByteCount, byteCount > 0
    else { return nil }
    return byteCount
  }

  /// The bytes that requests may address.
  var byteCount: UInt64 { addressableByteCount.load(ordering: .acquiring) }

  /// While the file is being extended, what it had before.
  func presentByteCount() throws(DeviceError) -> UInt64 {
    let present = try file.withLockIfAvailable { file throws(DeviceError) in
      guard let byteCount = try file?.presentByteCount() else { throw closedError }
      return byteCount
    }
    return present ?? byteCount
  }

  /// Nil also while the file is being extended: what is left then is not only for others.
  var availableByteCount: UInt64? {
    guard isExtensible else { return nil }
    return file.withLockIfAvailable { $0?.availableByteCount } ?? nil
  }

  /// Extends the file, which cannot be closed meanwhile.
  func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError) {
    try file.withLock { file throws(DeviceError) in
      guard file != nil else { throw closedError }
      try file?.extend(over: range, progress: progress)
      if range.upperBound > byteCount {
        addressableByteCount.store(range.upperBound, ordering: .releasing)
      }
    }
  }

  private var closedError: DeviceError {
    DeviceError(.cancelled, path: path, message: "\(path) has been closed")
  }

  /// Counts the thread of a loop, which may use the descriptor after the device's own have ended.
  func addUser() { userCount.wrappingAdd(1, ordering: .relaxed) }

  /// The last one closes the file.
  func removeUser() {
    if userCount.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { close() }
  }

  /// Closes the descriptor and gives up the locks. Idempotent.
  func close() {
    file.withLock { file in
      // Everything has been flushed or reported before: an error of close itself says nothing new.
      _ = file.take()
    }
  }
}
