import Measuring
import VarveIO

/// Fills a file with data that does not compress, so that reads meet written extents.
public enum DataFill {
  private static let blockByteCount = 4 << 20

  /// Writes from the start of the file up to `byteCount`, for at most `seconds`.
  ///
  /// - Returns: the bytes written, a multiple of 4096.
  /// - Throws: `DeviceError`, with code `noSpace` where the file system is full.
  public static func fill(
    _ file: borrowing DirectFile, byteCount: UInt64, seconds: Double = .infinity,
    isStopped: () -> Bool = { false }, progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(DeviceError) -> UInt64 {
    let memory = AlignedMemory(byteCount: blockByteCount)
    var random = Random(state: Random.seed())
    let start = MonotonicClock.nanoseconds()
    var done: UInt64 = 0
    while done < byteCount, !isStopped() {
      guard Double(MonotonicClock.nanoseconds() - start) / 1e9 < seconds else { break }
      let count = min(blockByteCount, Int(byteCount - done))
      // SAFETY: `count` is at most the length of the memory, which outlives both calls.
      let block = unsafe UnsafeMutableRawBufferPointer(start: memory.base, count: count)
      unsafe random.fill(block)
      try unsafe file.write(UnsafeRawBufferPointer(block), byteOffset: done)
      done += UInt64(count)
      progress(done, byteCount)
    }
    try file.flush()
    return done
  }
}
