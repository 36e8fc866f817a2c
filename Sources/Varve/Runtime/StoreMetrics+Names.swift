// The names under which a store publishes what it counts. They are stable: add, don't change. The
// numbers of StoreStatistics have theirs in StoreMetric.all; here is what is none of those.

extension StoreMetrics {
  static let counters = StoreMetric.all.filter { $0.kind == .counter }
  static let gauges = StoreMetric.all.filter { $0.kind == .gauge }

  /// `StoreHealth.level`.
  static let healthGauge = "varve_health"
  /// How long recovery took, once for each open.
  static let recoveryTimer = "varve_recovery_duration"
}
