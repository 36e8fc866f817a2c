/// What a series of operations a second says of how steady a store is.
public struct RateSeries: Hashable, Sendable {
  /// Of all seconds; 0 without any.
  public let median: Double
  /// The least of all seconds; 0 without any.
  public let worst: Double
  /// Seconds with less than half of the median.
  public let slowSecondCount: Int

  /// Sums a series up.
  public init(_ rates: [Double]) {
    let sorted = rates.sorted()
    let middle = sorted.count / 2
    let median: Double =
      sorted.isEmpty
      ? 0
      : sorted.count.isMultiple(of: 2)
        ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    self.median = median
    worst = sorted.first ?? 0
    slowSecondCount = sorted.count { $0 < median / 2 }
  }

  /// The worst second as a share of the median one; 0 without any.
  public var worstShare: Double { median > 0 ? worst / median : 0 }
}
