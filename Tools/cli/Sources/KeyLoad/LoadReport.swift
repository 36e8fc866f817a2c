import Foundation

/// What became of a run, put together from its lines.
public struct LoadReport: Codable, Hashable, Sendable {
  /// Nil where the store did not open.
  public private(set) var opened: LoadLine.Opened?
  /// By name.
  public private(set) var phases: [String: LoadLine.Phase] = [:]
  /// The seconds of all phases, in order.
  public private(set) var seconds: [LoadLine.Second] = []
  /// Nil where the process died.
  public private(set) var closed: LoadLine.Closed?
  /// The first one, if the run failed.
  public private(set) var failure: LoadFailure?

  /// Nothing yet.
  public init() {}

  /// Takes the next line.
  public mutating func take(_ line: LoadLine) {
    switch line {
    case .opened(let value): opened = value
    case .second(let value): seconds.append(value)
    case .phase(let value): phases[value.phase.rawValue] = value
    case .closed(let value): closed = value
    case .failed(let value): failure = failure ?? value
    }
  }

  /// The output is at its end: a run that neither closed its store nor said why has failed.
  public mutating func end(status: String) {
    guard closed == nil, failure == nil else { return }
    failure = LoadFailure(code: "died", message: "the process ended with \(status)")
  }

  /// The failure with the place where it happened, for people; nil where the run came to its end.
  public var failureText: String? {
    guard let failure else { return nil }
    guard let last = LoadLine.PhaseName.allCases.compactMap(phase).last else {
      return "\(failure)"
    }
    return "\(failure.code) after \(last.putCount + last.getCount) operations of phase "
      + "\(last.phase.rawValue): \(failure.message)"
  }

  /// A phase, if it came to its end or to a failure.
  public func phase(_ name: LoadLine.PhaseName) -> LoadLine.Phase? { phases[name.rawValue] }

  /// Operations a second in every whole second of a phase; the phase's own rate where it was too
  /// short for one.
  public func rates(_ name: LoadLine.PhaseName) -> [Double] {
    let rates = seconds.filter { $0.phase == name }.map {
      Double($0.putCount + $0.getCount) / Double($0.nanoseconds) * 1e9
    }
    guard rates.isEmpty, let phase = phase(name), phase.seconds > 0 else { return rates }
    return [Double(phase.putCount + phase.getCount) / phase.seconds]
  }

  /// The most bytes on disk that a second ended with.
  public var peakDiskByteCount: UInt64 {
    (seconds.map(\.diskByteCount) + phases.values.map(\.diskByteCount)).max() ?? 0
  }
}
