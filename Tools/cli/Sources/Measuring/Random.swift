/// SplitMix64 (Steele, Lea, Flood, 2014): fast, and good enough for offsets and for data that does
/// not compress.
public struct Random: Sendable {
  private var state: UInt64

  /// Starts anew; the same seed gives the same numbers.
  public init(state: UInt64) { self.state = state }

  /// A seed that no run before had.
  public static func seed() -> UInt64 { UInt64.random(in: 0...(.max)) }

  /// The next number.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return Self.mix(state)
  }

  /// Fills memory, whose length is a multiple of 8, with bytes that do not compress.
  public mutating func fill(_ memory: UnsafeMutableRawBufferPointer) {
    // SAFETY: every store lies within the memory that the caller lends.
    for byteOffset in stride(from: 0, to: memory.count, by: 8) {
      unsafe memory.storeBytes(of: next(), toByteOffset: byteOffset, as: UInt64.self)
    }
  }

  /// Scatters a number over all 64 bits.
  public static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
