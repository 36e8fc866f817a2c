import Histogram

/// How long requests took: percentiles to one in a hundred, the longest exactly.
public struct Latencies: Sendable {
  /// Longer ones count as this: a minute.
  private static let longestNanoseconds: UInt64 = 60_000_000_000

  private var histogram = Histogram<UInt64>(
    lowestDiscernibleValue: 1, highestTrackableValue: longestNanoseconds,
    numberOfSignificantValueDigits: .two)
  /// The longest.
  public private(set) var maximumNanoseconds: UInt64 = 0
  /// All together.
  public private(set) var totalNanoseconds: UInt64 = 0

  /// Nothing recorded yet.
  public init() {}

  /// How many were recorded.
  public var count: UInt64 { histogram.totalCount }

  /// Takes one in.
  public mutating func record(_ nanoseconds: UInt64) {
    _ = histogram.record(min(nanoseconds, Self.longestNanoseconds))
    maximumNanoseconds = max(maximumNanoseconds, nanoseconds)
    totalNanoseconds += nanoseconds
  }

  /// Takes in what another has recorded.
  public mutating func add(_ other: Latencies) {
    histogram.add(other.histogram)
    maximumNanoseconds = max(maximumNanoseconds, other.maximumNanoseconds)
    totalNanoseconds += other.totalNanoseconds
  }

  /// The nanoseconds that `percent` of the requests did not exceed; 0 without any.
  public func nanoseconds(atPercent percent: Double) -> UInt64 {
    count == 0 ? 0 : min(histogram.valueAtPercentile(percent), maximumNanoseconds)
  }
}
