import Console
import Varve

/// A status in the text format that Prometheus reads.
enum PrometheusText {
  static func text(_ status: StoreStatus) -> String {
    let label = "{store=\"\(escaped(status.name))\"}"
    func block(_ name: String, _ kind: String, _ help: String, _ value: String) -> String {
      "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n\(name)\(label) \(value)"
    }
    let metrics = StoreMetric.all.map {
      block($0.metricName, $0.kind.rawValue, $0.summary, "\($0.value(in: status.statistics))")
    }
    let others = [
      block(
        "varve_health", "gauge", "The health: 0 healthy, 1 full, 2 degraded, 3 poisoned.",
        "\(status.health.level)"),
      block(
        "varve_recovery_duration_seconds", "gauge",
        "How long recovery took when the store was opened.", "\(status.recoverySeconds)"),
    ]
    return (others + metrics).joined(separator: "\n")
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n", "\r\n": result += "\\n"
      default: result.append(character)
      }
    }
  }
}
