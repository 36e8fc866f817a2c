import Console
import Varve

/// Seconds until a record expires, as people and JSON write them.
enum TimeToLive {
  /// What an expiry must be.
  static let rule = "more than 0 seconds and at most 1e15"

  /// The expiry after so many seconds, with three decimals; nil where that is none.
  static func expiry(seconds: Double) -> Expiry? {
    guard seconds > 0, seconds <= 1e15 else { return nil }
    return .after(.milliseconds(max(1, Int64((seconds * 1000).rounded()))))
  }

  /// The member `ttl` of an object.
  static func expiry(in object: JSONValue) throws(ToolError) -> Expiry? {
    let seconds: Double
    switch object["ttl"] {
    case nil: return nil
    case .integer(let value): seconds = Double(value)
    case .number(let value): seconds = value
    default: throw .usage("\"ttl\" must be a number of seconds")
    }
    guard let expiry = expiry(seconds: seconds) else {
      throw .usage("\"ttl\" must be \(rule)")
    }
    return expiry
  }

  /// What is left of a value's time, in seconds.
  static func member(of value: VersionedValue) -> [JSONValue.Member] {
    guard let left = value.timeToLive else { return [] }
    let milliseconds =
      left.components.seconds * 1000
      + left.components.attoseconds / 1_000_000_000_000_000
    let isWhole = milliseconds % 1000 == 0
    return [
      .init("ttl", isWhole ? .count(milliseconds / 1000) : .number(Double(milliseconds) / 1000))
    ]
  }
}
