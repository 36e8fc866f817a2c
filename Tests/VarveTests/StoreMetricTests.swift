import Testing

@testable import Varve

/// The one list of what a store counts.
@Suite struct StoreMetricTests {
  @Test func everyNumberIsNamedOnce() {
    var statistics = StoreStatistics()
    for (position, metric) in StoreMetric.all.enumerated() {
      metric.set(UInt64(position + 1), in: &statistics)
    }
    for (position, metric) in StoreMetric.all.enumerated() {
      #expect(metric.value(in: statistics) == UInt64(position + 1), "\(metric.name)")
    }
    let numbers = Mirror(reflecting: statistics).children.map { child in
      (child.label ?? "", (child.value as? UInt64) ?? (child.value as? Int).map { UInt64($0) })
    }
    for (name, number) in numbers {
      #expect(number ?? 0 > 0, "StoreMetric.all does not name StoreStatistics.\(name)")
    }
    #expect(numbers.count == StoreMetric.all.count)
  }

  @Test func namesAreDistinctAndOfOneForm() {
    let all = StoreMetric.all
    #expect(Set(all.map(\.name)).count == all.count)
    #expect(Set(all.map(\.metricName)).count == all.count)
    for metric in all {
      #expect(metric.metricName.wholeMatch(of: /varve(_[a-z]+)+/) != nil, "\(metric.metricName)")
      #expect(metric.metricName.hasSuffix("_total") == (metric.kind == .counter))
      #expect(metric.summary.hasSuffix(".") && !metric.summary.contains("\n"))
    }
  }

  /// What dashboards rely on: a change of the list must not rename what is there.
  @Test func namesThatAreNotTheirNamesInJSON() {
    let names = Dictionary(uniqueKeysWithValues: StoreMetric.all.map { ($0.name, $0.metricName) })
    #expect(names["puts"] == "varve_puts_total")
    #expect(names["cacheHits"] == "varve_get_cache_hits_total")
    #expect(names["sharedReads"] == "varve_get_shared_reads_total")
    #expect(names["memoryBudgetBytes"] == "varve_memory_budget_bytes")
    #expect(names["lastSeq"] == "varve_last_sequence")
  }
}
