import Measuring

/// Which key comes next.
public enum KeyChoice: Sendable {
  /// Every key once, in the order of its number.
  case each
  /// Any key, all alike.
  case uniform(keyCount: UInt64)
  /// Few keys often. Which ones is scattered over all numbers, so that keys that are often asked
  /// for were not loaded together.
  case zipfian(ZipfDistribution, Permutation)

  /// The choice after the load.
  public init(_ plan: LoadPlan) {
    if let exponent = plan.zipfExponent {
      self = .zipfian(
        ZipfDistribution(count: plan.keyCount, exponent: exponent),
        // The same keys in every round and every store.
        Permutation(count: plan.keyCount, seed: 0x7661_7276))
    } else {
      self = .uniform(keyCount: plan.keyCount)
    }
  }

  /// The number of the key of the operation with a number of its own.
  func next(operation: UInt64, _ random: inout Random) -> UInt64 {
    switch self {
    case .each: operation
    case .uniform(let keyCount): random.next(below: keyCount)
    case .zipfian(let distribution, let permutation): permutation[distribution.next(&random) - 1]
    }
  }
}
