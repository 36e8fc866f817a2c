// What a store tells a metrics factory: the differences of its statistics, once a second. Nothing
// on the path of a get or a put knows of it. The names are those of StoreMetric.all; the page for
// operators is Metrics.md, and a test compares the two.
//
// Invariants:
// - the task holds the store weakly, so that a store that is dropped goes;
// - after `end` nothing is emitted.

import CoreMetrics
import Synchronization

/// Publishes the statistics of one store.
final class StoreMetrics: Sendable {
  private struct State {
    var counters: [Counter]
    var gauges: [Gauge]
    var health: Gauge
    /// What the counters have been told.
    var published: [UInt64]
    var task: Task<Void, Never>?
    var isEnded = false
  }

  private let state: Mutex<State>
  private let recovery: Timer

  /// Between two publications.
  static let intervalNanoseconds: UInt64 = 1_000_000_000

  /// The name tells the stores of one process apart.
  init(factory: any MetricsFactory, name: String) {
    let dimensions = [("store", name)]
    state = Mutex(
      State(
        counters: StoreMetrics.counters.map {
          Counter(label: $0.metricName, dimensions: dimensions, factory: factory)
        },
        gauges: StoreMetrics.gauges.map {
          Gauge(label: $0.metricName, dimensions: dimensions, factory: factory)
        },
        health: Gauge(
          label: StoreMetrics.healthGauge, dimensions: dimensions, factory: factory),
        published: StoreMetrics.counters.map { _ in 0 }))
    recovery = Timer(
      label: StoreMetrics.recoveryTimer, dimensions: dimensions, factory: factory)
  }

  /// Begins to publish, now and then once in each interval.
  func start(_ core: StoreCore) {
    recovery.recordNanoseconds(Int64(core.report.durationSeconds * 1e9))
    let environment = core.environment
    let task = Task { [weak core, self] in
      while publish(core), !Task.isCancelled {
        await environment.sleep(StoreMetrics.intervalNanoseconds)
      }
    }
    let isLate = state.withLock { state in
      state.task = task
      return state.isEnded
    }
    if isLate { task.cancel() }
  }

  /// Publishes the last differences, takes the gauges back (a closed store has no free segments
  /// and no health) and ends the task.
  ///
  /// - Returns: the task, which ends soon.
  func end(_ core: StoreCore) -> Task<Void, Never>? {
    let statistics = core.statistics()
    let task: Task<Void, Never>? = state.withLock { state in
      guard !state.isEnded else { return nil }
      StoreMetrics.publish(statistics, core.health.current, &state)
      for gauge in state.gauges + [state.health] { gauge.destroy() }
      state.isEnded = true
      defer { state.task = nil }
      return state.task
    }
    task?.cancel()
    return task
  }

  /// - Returns: whether there is anything more to come.
  private func publish(_ core: StoreCore?) -> Bool {
    guard let core else { return false }
    let statistics = core.statistics()
    return state.withLock { state in
      guard !state.isEnded else { return false }
      StoreMetrics.publish(statistics, core.health.current, &state)
      return true
    }
  }

  private static func publish(
    _ statistics: StoreStatistics, _ health: StoreHealth, _ state: inout State
  ) {
    for (index, metric) in counters.enumerated() {
      let value = metric.value(in: statistics)
      // A reading that another one overtook tells nothing new.
      guard value > state.published[index] else { continue }
      state.counters[index].increment(by: value - state.published[index])
      state.published[index] = value
    }
    for (index, metric) in gauges.enumerated() {
      state.gauges[index].record(Int64(clamping: metric.value(in: statistics)))
    }
    state.health.record(health.level)
  }
}
