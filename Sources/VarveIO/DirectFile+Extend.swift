// Making a file longer while it is in use, and finding out what a block device has gained.

import CVarveAIO
import Glibc

extension DirectFile {
  /// The bytes that are there now, rounded down to a multiple of 4096.
  borrowing func presentByteCount() throws(DeviceError) -> UInt64 {
    try Self.measure(descriptorNumber, status(), path) & ~4095
  }

  /// The bytes that the file system has left for files; nil where it does not say.
  var availableByteCount: UInt64? {
    var status = statvfs()
    guard unsafe fstatvfs(descriptorNumber, &status) == 0 else { return nil }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }

  /// Makes the file reach to the end of `range`, which is filled with zeros; of a block device only
  /// asks whether it does. Where it fails, the file gets its old length back.
  ///
  /// DURABILITY: the caller flushes before anything names what has been gained. Nothing is flushed
  /// here: an error of a flush is reported once for each descriptor, and whoever writes must see
  /// it.
  borrowing func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError) {
    let status = try status()
    let present = try Self.measure(descriptorNumber, status, path)
    guard kind == .regularFile else {
      guard present >= range.upperBound else {
        throw DeviceError(
          .tooLarge, path: path,
          message: "\(path) has \(present) bytes, fewer than the \(range.upperBound) asked for:"
            + " enlarge the device first")
      }
      return
    }
    guard range.upperBound <= UInt64(Int64.max) else {
      throw .system("extend", path: path, errorNumber: EFBIG)
    }
    do throws(DeviceError) {
      // Space first: a full file system is found out before a long fill.
      try allocate(range)
      guard try fill(from: range.lowerBound, to: range.upperBound, progress) else {
        throw DeviceError(
          .cancelled, path: path,
          message:
            "filling \(path) was cancelled: it has its old length, and its store is as it was")
      }
    } catch {
      // Nothing in the new part has ever been named. Where even this fails, the file stays longer
      // than its store, which harms nothing.
      _ = ftruncate(descriptorNumber, Int(status.st_size))
      throw error
    }
  }
}
