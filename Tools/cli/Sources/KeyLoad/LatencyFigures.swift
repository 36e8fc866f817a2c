import Measuring

/// Percentiles of how long operations took, in nanoseconds; zeros where there were none.
public struct LatencyFigures: Codable, Hashable, Sendable {
  /// Operations.
  public var count: UInt64
  /// Half took no longer.
  public var p50Nanoseconds: UInt64
  /// 99 in 100 took no longer.
  public var p99Nanoseconds: UInt64
  /// 999 in 1,000 took no longer.
  public var p999Nanoseconds: UInt64
  /// The longest.
  public var maximumNanoseconds: UInt64

  /// Sums up.
  public init(_ latencies: Latencies) {
    count = latencies.count
    p50Nanoseconds = latencies.nanoseconds(atPercent: 50)
    p99Nanoseconds = latencies.nanoseconds(atPercent: 99)
    p999Nanoseconds = latencies.nanoseconds(atPercent: 99.9)
    maximumNanoseconds = latencies.maximumNanoseconds
  }
}
