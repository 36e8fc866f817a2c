import Foundation

/// What this process and the device have done up to now.
///
/// *Bytes written* are `write_bytes` less `cancelled_write_bytes` of `/proc/self/io`. The kernel
/// adds to the first where a direct write is submitted and where a page of the page cache becomes
/// dirty, for all threads of the process, ended ones too; to the second where a dirty page is given
/// up because its file was removed. So direct and buffered stores are counted alike, neighbours are
/// not, and what the file system adds of its own (journal, metadata) is not either. *Device bytes*
/// are the sectors written of `/sys/dev/block/MAJ:MIN/stat`: all that the disk was asked for, by
/// whomever. On a machine that does nothing else the two agree but for the file system's share and
/// what still lies in the page cache.
struct LoadUsage: Sendable {
  /// CPU, of all threads, in user and kernel mode.
  var cpuSeconds: Double
  var writtenByteCount: UInt64
  /// Nil where the folder lies on no block device.
  var deviceWrittenByteCount: UInt64?

  /// Reads the counters, the device's of the one that a path lies on.
  static func now(devicePath: String) -> LoadUsage {
    var time = timespec()
    // SAFETY: the call fills a local variable.
    _ = unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    let counters = fields(of: "/proc/self/io")
    let cancelled = counters["cancelled_write_bytes"] ?? 0
    let written = counters["write_bytes"] ?? 0
    return LoadUsage(
      cpuSeconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9,
      writtenByteCount: written - min(cancelled, written),
      deviceWrittenByteCount: sectorsWritten(devicePath).map { $0 * 512 })
  }

  /// The most memory that this process had at once.
  static var peakResidentByteCount: UInt64 { (fields(of: "/proc/self/status")["VmHWM"] ?? 0) << 10 }

  /// `name: number` by line.
  private static func fields(of path: String) -> [String: UInt64] {
    var fields: [String: UInt64] = [:]
    for line in text(of: path).split(separator: "\n") {
      let words = line.split { $0 == ":" || $0 == " " || $0 == "\t" }
      if words.count >= 2 { fields[String(words[0])] = UInt64(words[1]) }
    }
    return fields
  }

  private static func sectorsWritten(_ path: String) -> UInt64? {
    var found = stat()
    // SAFETY: the call fills a local variable.
    guard unsafe stat(path, &found) == 0 else { return nil }
    let device = found.st_dev
    // As glibc's gnu_dev_major and gnu_dev_minor.
    let major = (device >> 8 & 0xFFF) | (device >> 32 & 0xFFFF_F000)
    let minor = (device & 0xFF) | (device >> 12 & 0xFFFF_FF00)
    let words = text(of: "/sys/dev/block/\(major):\(minor)/stat").split { $0 == " " || $0 == "\n" }
    return words.count > 6 ? UInt64(words[6]) : nil
  }

  private static func text(of path: String) -> String {
    // Files of /proc and /sys tell no length, so they are read to their end.
    guard let file = FileHandle(forReadingAtPath: path) else { return "" }
    return String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
  }
}
