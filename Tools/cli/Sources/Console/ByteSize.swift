/// A number of bytes as people write it: `4096`, `64KiB`, `1GiB`.
public struct ByteSize: Hashable, Sendable, CustomStringConvertible {
  /// The bytes.
  public let byteCount: UInt64

  /// Wraps a number of bytes.
  public init(_ byteCount: UInt64) { self.byteCount = byteCount }

  /// Reads a number with an optional unit: B, KiB, MiB, GiB or TiB; nil where it is none, or is
  /// beyond 64 bits.
  public init?(_ text: String) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = UInt64(digits) else { return nil }
    let units = ["": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
    guard let shift = units[String(text.dropFirst(digits.count))] else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: 1 << UInt64(shift))
    guard !overflow else { return nil }
    byteCount = product
  }

  /// The size in the largest unit that leaves a whole part, with one decimal where it is not exact.
  public var description: String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
    for (name, shift) in units where byteCount >= 1 << UInt64(shift) {
      let unit = UInt64(1) << UInt64(shift)
      if byteCount.isMultiple(of: unit) { return "\(byteCount / unit) \(name)" }
      let tenths = UInt64((Double(byteCount) / Double(unit) * 10).rounded())
      return "\(tenths / 10).\(tenths % 10) \(name)"
    }
    return "\(byteCount) B"
  }
}
