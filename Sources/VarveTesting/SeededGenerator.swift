/// A small generator (SplitMix64) whose every number follows from its seed, so that a run that
/// found something can be run again. Equal seeds give equal numbers on every machine.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 up to, not including, `bound`. The standard library's own reduction may
  /// change between releases; a stored seed must not.
  package mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "a bound leaves something to choose from")
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True once in `odds` times on average.
  package mutating func once(in odds: Int) -> Bool { below(odds) == 0 }

  /// That many bytes.
  package mutating func bytes(_ byteCount: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount + 8)
    while bytes.count < byteCount {
      let word = next()
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(shift)))) }
    }
    bytes.removeLast(bytes.count - byteCount)
    return bytes
  }
}
