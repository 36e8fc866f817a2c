/// The identity of a store, drawn at random when it is formatted.
public struct StoreUUID: Hashable, Sendable, CustomStringConvertible {
  /// Bytes 0 to 7, little-endian.
  public let low: UInt64
  /// Bytes 8 to 15, little-endian.
  public let high: UInt64

  /// Makes an identity from random bits.
  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// The bits that every page repeats in clear, so that a foreign page is told from a damaged one.
  @inlinable public var prefix: UInt32 { UInt32(truncatingIfNeeded: low) }

  /// Hexadecimal, in groups of 8-4-4-4-12 digits.
  public var description: String {
    var text = ""
    for index in 0..<16 {
      if index == 4 || index == 6 || index == 8 || index == 10 { text += "-" }
      let word = index < 8 ? low : high
      let byte = UInt8(truncatingIfNeeded: word >> (8 * UInt64(index % 8)))
      if byte < 16 { text += "0" }
      text += String(byte, radix: 16)
    }
    return text
  }
}
