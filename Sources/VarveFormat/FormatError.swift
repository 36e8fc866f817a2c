/// Why bytes from the device are not what they should be. What follows from it (a torn tail,
/// damage, a foreign device) is decided by whoever reads, once for the engine and once for the
/// checker.
public enum FormatError: Error, Hashable, Sendable {
  /// Every byte of the page is zero: it was never written.
  case blank
  /// The page does not begin as this structure does, or belongs to another store.
  case notThisStructure
  /// The page was written for another address or an earlier use of the segment.
  case stale
  /// The checksum does not match.
  case checksum
  /// A field has a value that no writer writes.
  case malformed(String)
  /// The format version or an incompatible feature is newer than this library.
  case newerFormat
}
