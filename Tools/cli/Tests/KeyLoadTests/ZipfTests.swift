import Foundation
import KeyLoad
import Measuring
import Testing

/// The zipfian choice against what is known of the distribution.
@Suite struct ZipfTests {
  private static let drawCount = 400_000

  private func counts(
    _ distribution: ZipfDistribution, upTo count: Int, seed: UInt64 = 1
  ) -> [Double] {
    var random = Random(state: seed)
    var counts = [Double](repeating: 0, count: count + 1)
    for _ in 0..<Self.drawCount {
      let rank = distribution.next(&random)
      if rank <= UInt64(count) { counts[Int(rank)] += 1 }
    }
    return counts
  }

  /// Chi-square over all ranks: for d degrees of freedom its mean is d and its variance 2d.
  @Test(
    "Every rank comes as often as 1 / k^s says", arguments: [0.5, 0.99, 1, 1.2, 2], [2, 10, 1000])
  func frequencies(exponent: Double, count: Int) {
    let weights = (1...count).map { pow(Double($0), -exponent) }
    let total = weights.reduce(0, +)
    let counts = counts(ZipfDistribution(count: UInt64(count), exponent: exponent), upTo: count)
    #expect(counts[0] == 0)
    #expect(counts.reduce(0, +) == Double(Self.drawCount))
    // Ranks that are expected less than five times are taken together.
    var (chiSquare, cells) = (0.0, 0)
    var (restExpected, restFound) = (0.0, 0.0)
    for rank in 1...count {
      let expected = weights[rank - 1] / total * Double(Self.drawCount)
      if expected < 5 {
        restExpected += expected
        restFound += counts[rank]
      } else {
        chiSquare += (counts[rank] - expected) * (counts[rank] - expected) / expected
        cells += 1
      }
    }
    if restExpected > 0 {
      chiSquare += (restFound - restExpected) * (restFound - restExpected) / restExpected
      cells += 1
    }
    let freedom = Double(cells - 1)
    #expect(chiSquare < freedom + 5 * (2 * freedom).squareRoot() + 5)
  }

  /// YCSB's generator carries zeta(10¹⁰, 0.99) = 26.46902820178302 as a constant: its first rank
  /// comes once in 26.469 times, its second once in 26.469 × 2^0.99.
  @Test("Ten thousand million ranks with 0.99 agree with the constant of YCSB")
  func constantOfYCSB() {
    let zeta = 26.46902820178302
    let counts = counts(ZipfDistribution(count: 10_000_000_000, exponent: 0.99), upTo: 2)
    for rank in 1...2 {
      let probability = pow(Double(rank), -0.99) / zeta
      let expected = probability * Double(Self.drawCount)
      #expect(abs(counts[rank] - expected) < 5 * expected.squareRoot(), "rank \(rank)")
    }
  }

  @Test("The same seed gives the same ranks, another seed others")
  func determinism() {
    let distribution = ZipfDistribution(count: 1_000_000, exponent: 0.99)
    func ranks(_ seed: UInt64) -> [UInt64] {
      var random = Random(state: seed)
      return (0..<100).map { _ in distribution.next(&random) }
    }
    #expect(ranks(7) == ranks(7))
    #expect(ranks(7) != ranks(8))
  }

  @Test("One rank is always that one")
  func single() {
    let distribution = ZipfDistribution(count: 1, exponent: 0.99)
    var random = Random(state: 3)
    #expect((0..<1000).allSatisfy { _ in distribution.next(&random) == 1 })
  }

  @Test("A bounded number is below its bound, and spread evenly")
  func bounded() {
    var random = Random(state: 5)
    var counts = [Double](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[Int(random.next(below: 7))] += 1 }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 500 })
    #expect((0..<1000).allSatisfy { _ in (0..<1).contains(random.nextUnit()) })
  }
}
