import Foundation
import Measuring

/// Ranks from 1 to a count, rank k with a probability in proportion to k to the power of minus the
/// exponent, exactly: by rejection-inversion (Hörmann and Derflinger, 1996), whose cost does not
/// depend on the count. The generator that YCSB uses (Gray et al., 1994) is exact for the first two
/// ranks only and has to add up the whole series first.
public struct ZipfDistribution: Sendable {
  private let count: Double
  private let exponent: Double
  private let integralOfFirst: Double
  private let integralOfLast: Double
  private let acceptance: Double

  /// Ranks up to `count`, at least 1; an exponent above 0, 1 included.
  public init(count: UInt64, exponent: Double) {
    precondition(count > 0 && exponent > 0, "there is something to choose from")
    self.count = Double(count)
    self.exponent = exponent
    integralOfFirst = Self.integral(1.5, exponent) - 1
    integralOfLast = Self.integral(Double(count) + 0.5, exponent)
    acceptance =
      2
      - Self.inverseIntegral(
        Self.integral(2.5, exponent) - Self.density(2, exponent), exponent)
  }

  /// The next rank.
  public func next(_ random: inout Random) -> UInt64 {
    while true {
      let area = integralOfLast + random.nextUnit() * (integralOfFirst - integralOfLast)
      let place = Self.inverseIntegral(area, exponent)
      let rank = min(max((place + 0.5).rounded(.down), 1), count)
      if rank - place <= acceptance
        || area >= Self.integral(rank + 0.5, exponent) - Self.density(rank, exponent)
      {
        return UInt64(rank)
      }
    }
  }

  private static func density(_ place: Double, _ exponent: Double) -> Double {
    exp(-exponent * log(place))
  }

  /// The area under the density from 1 on: (x^(1−s) − 1) / (1−s), and log x where s is 1.
  private static func integral(_ place: Double, _ exponent: Double) -> Double {
    let logarithm = log(place)
    let power = (1 - exponent) * logarithm
    return logarithm * (abs(power) > 1e-8 ? expm1(power) / power : 1 + power / 2)
  }

  private static func inverseIntegral(_ area: Double, _ exponent: Double) -> Double {
    // Rounding may lead below the only area where the logarithm is defined.
    let power = max(area * (1 - exponent), -1)
    return exp(area * (abs(power) > 1e-8 ? log1p(power) / power : 1 - power / 2))
  }
}

extension Random {
  /// A number from 0 on below 1, with 53 bits.
  public mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A number below a count, each as likely as the others to one in 2⁶⁴ / count.
  public mutating func next(below count: UInt64) -> UInt64 {
    next().multipliedFullWidth(by: count).high
  }
}
