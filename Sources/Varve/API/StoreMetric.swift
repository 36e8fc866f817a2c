/// One number of `StoreStatistics`, under the names by which the world knows it.
///
/// `all` is the one place where a number is named: what `StoreOptions.metricsFactory` gets, what a
/// running store tells on its socket, and what `kvctl stat` prints come from it.
///
/// ```swift
/// for metric in StoreMetric.all {
///   print(metric.metricName, metric.value(in: store.statistics))
/// }
/// ```
public struct StoreMetric: Sendable {
  /// How the number moves.
  public enum Kind: String, Hashable, Sendable {
    /// It only grows, from 0 when the store is opened.
    case counter
    /// It goes up and down.
    case gauge
  }

  /// The name in JSON, such as `puts`. Stable.
  public let name: String
  /// The name in a metrics system, such as `varve_puts_total`. Stable.
  public let metricName: String
  /// How the number moves.
  public let kind: Kind
  /// What it counts or shows, in a sentence.
  public let summary: String
  private let get: @Sendable (StoreStatistics) -> UInt64
  private let set: @Sendable (inout StoreStatistics, UInt64) -> Void

  /// The number.
  public func value(in statistics: StoreStatistics) -> UInt64 { get(statistics) }

  /// Sets the number, for whoever reads statistics that were written down.
  public func set(_ value: UInt64, in statistics: inout StoreStatistics) {
    set(&statistics, value)
  }

  /// What only grows; `metric` is named where it differs from the name in JSON.
  static func counter(
    _ name: String, metric: String? = nil,
    _ path: any WritableKeyPath<StoreStatistics, UInt64> & Sendable, _ summary: String
  ) -> StoreMetric {
    StoreMetric(
      name: name, metricName: metricName(metric ?? name) + "_total", kind: .counter,
      summary: summary, get: { $0[keyPath: path] }, set: { $0[keyPath: path] = $1 })
  }

  /// What goes up and down.
  static func gauge(
    _ name: String, metric: String? = nil,
    _ path: any WritableKeyPath<StoreStatistics, Int> & Sendable, _ summary: String
  ) -> StoreMetric {
    StoreMetric(
      name: name, metricName: metricName(metric ?? name), kind: .gauge, summary: summary,
      get: { UInt64(clamping: $0[keyPath: path]) },
      set: { $0[keyPath: path] = Int(clamping: $1) })
  }

  /// What goes up and does not begin at 0 when the store is opened.
  static func gauge(
    _ name: String, metric: String? = nil,
    _ path: any WritableKeyPath<StoreStatistics, UInt64> & Sendable, _ summary: String
  ) -> StoreMetric {
    StoreMetric(
      name: name, metricName: metricName(metric ?? name), kind: .gauge, summary: summary,
      get: { $0[keyPath: path] }, set: { $0[keyPath: path] = $1 })
  }

  /// `slowRequests` becomes `varve_slow_requests`.
  private static func metricName(_ name: String) -> String {
    name.reduce(into: "varve_") { result, letter in
      if letter.isUppercase { result.append("_") }
      result += letter.lowercased()
    }
  }
}
