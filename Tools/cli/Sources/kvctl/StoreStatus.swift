import Console
import Varve

/// What a store says of itself, whoever has it open.
struct StoreStatus {
  var statistics = StoreStatistics()
  var health = StoreHealth.healthy
  /// How long the open took to recover.
  var recoverySeconds = 0.0
  /// The label, or the UUID of a store without one: it tells stores apart.
  var name = ""
  /// The socket over which a running store told it; nil where it was opened for the question.
  var socketPath: String?
  /// What this version does not know of the statistics of a newer one.
  private var unknown: [JSONValue.Member] = []

  /// What a store that was opened here says.
  init(_ store: Store, name: String) {
    statistics = store.statistics
    health = store.health
    recoverySeconds = store.recoveryReport.durationSeconds
    self.name = name
  }

  /// What a running store answered to `stat`.
  init(answer: JSONValue, socketPath: String) {
    self.socketPath = socketPath
    name = answer["label"]?.text ?? ""
    if name.isEmpty { name = answer["uuid"]?.text ?? "" }
    if case .number(let seconds)? = answer["recoverySeconds"] { recoverySeconds = seconds }
    guard case .object(let members)? = answer["stat"] else { return }
    var known = Set(StoreMetric.all.map(\.name)).union(["health"])
    for metric in StoreMetric.all {
      guard let value = answer["stat"]?[metric.name]?.integer else { continue }
      metric.set(UInt64(clamping: value), in: &statistics)
    }
    health = answer["stat"]?["health"]?.text.flatMap { StoreHealth(rawValue: $0) } ?? .healthy
    unknown = members.filter { known.insert($0.name).inserted }
  }

  /// The members of `stat`.
  var json: JSONValue {
    Description.json(statistics).adding(
      unknown + [JSONValue.Member("health", .string(health.rawValue))])
  }

  var text: String {
    let source = socketPath.map { "in use: told by its process over \($0)\n" } ?? ""
    return source + Description.text(statistics, health: health)
  }
}
