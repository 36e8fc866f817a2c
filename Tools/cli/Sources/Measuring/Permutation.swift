/// The numbers below a count in a random order, each once, without a table: a Feistel network over
/// the next power of four, walked until it lands inside (Black and Rogaway, 2002).
public struct Permutation: Sendable {
  private let count: UInt64
  private let seed: UInt64
  private let halfBitCount: UInt64

  /// An order of the numbers below `count`, which is at least 1.
  public init(count: UInt64, seed: UInt64) {
    precondition(count > 0, "there is something to order")
    self.count = count
    self.seed = seed
    let bitCount = UInt64(64 - (count - 1).leadingZeroBitCount)
    halfBitCount = max(1, (bitCount + 1) / 2)
  }

  /// The number at a place of the order; after the last place another order begins.
  public subscript(index: UInt64) -> UInt64 {
    let round = Random.mix(seed &+ index / count)
    var value = index % count
    // At most four values for each one inside, so that it ends, and soon.
    repeat { value = scatter(value, round) } while value >= count
    return value
  }

  private func scatter(_ value: UInt64, _ key: UInt64) -> UInt64 {
    let mask = (1 << halfBitCount) - 1 as UInt64
    var (left, right) = (value >> halfBitCount, value & mask)
    for step in 0..<4 as Range<UInt64> {
      (left, right) = (right, left ^ (Random.mix(right ^ key &+ step) & mask))
    }
    return left << halfBitCount | right
  }
}
