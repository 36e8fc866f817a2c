import Console
import Varve

/// How a running store moved between two looks.
struct StatusChange {
  let before: StoreStatus?
  let now: StoreStatus
  /// Between the two.
  let seconds: Double

  /// How often a second a counter counted. One that is lower than before began again with a new
  /// open of the store.
  func rate(_ metric: StoreMetric) -> Double? {
    guard let before, seconds > 0 else { return nil }
    let (old, new) = (metric.value(in: before.statistics), metric.value(in: now.statistics))
    return Double(new >= old ? new - old : new) / seconds
  }

  private static let counters = StoreMetric.all.filter { $0.kind == .counter }

  var json: JSONValue {
    let object: JSONValue = ["ok": true, "live": true, "stat": now.json]
    guard before != nil else { return object }
    let rates = Self.counters.compactMap { metric in
      rate(metric).map { JSONValue.Member(metric.name, .number(Description.rounded($0))) }
    }
    return object.adding([
      .init("seconds", .number(seconds)), .init("rates", .object(rates)),
    ])
  }

  var text: String {
    let lines = Self.counters.map { metric in
      let isSize = metric.name.hasSuffix("Bytes")
      func written(_ number: Double) -> String {
        if isSize { return "\(ByteSize(UInt64(max(0, number))))" }
        return number < 100 ? "\((number * 10).rounded() / 10)" : "\(Int(number.rounded()))"
      }
      let total = metric.value(in: now.statistics)
      return [
        metric.name, rate(metric).map(written) ?? "-",
        isSize ? "\(ByteSize(total))" : "\(total)",
      ]
    }
    return now.text + "\n\n"
      + TextTable.text([["", "a second", "since the open"]] + lines, leftColumns: [0])
  }
}
