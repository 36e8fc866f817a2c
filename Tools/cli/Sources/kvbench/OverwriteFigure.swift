import KeyLoad

/// A figure of a run of overwrites, as it is called in tables and in JSON.
enum OverwriteFigure: String, CaseIterable {
  case operationsPerSecond, medianSecond, worstSecond, worstShare, slowSeconds
  case putP50Microseconds, putP99Microseconds, putP999Microseconds, putMaximumMicroseconds
  case putP99OfLoadMicroseconds
  case getP50Microseconds, getP99Microseconds, getP999Microseconds, getMaximumMicroseconds
  case writeAmplification, deviceWriteAmplification
  case spaceAmplification, peakSpaceAmplification
  case cpuSeconds, cpuMicrosecondsPerOperation, peakResidentMebibytes, loadedPerSecond

  var title: String {
    switch self {
    case .operationsPerSecond: "operations a second"
    case .medianSecond: "median second"
    case .worstSecond: "worst second"
    case .worstShare: "worst / median second"
    case .slowSeconds: "seconds below half of it"
    case .putP50Microseconds: "put p50 µs"
    case .putP99Microseconds: "put p99 µs"
    case .putP999Microseconds: "put p99.9 µs"
    case .putMaximumMicroseconds: "put max µs"
    case .putP99OfLoadMicroseconds: "put p99 µs in the load"
    case .getP50Microseconds: "get p50 µs"
    case .getP99Microseconds: "get p99 µs"
    case .getP999Microseconds: "get p99.9 µs"
    case .getMaximumMicroseconds: "get max µs"
    case .writeAmplification: "write amplification"
    case .deviceWriteAmplification: "the same, whole device"
    case .spaceAmplification: "space / data"
    case .peakSpaceAmplification: "peak space / data"
    case .cpuSeconds: "CPU seconds"
    case .cpuMicrosecondsPerOperation: "CPU µs an operation"
    case .peakResidentMebibytes: "peak resident MiB"
    case .loadedPerSecond: "load, puts a second"
    }
  }

  /// The figure of a run; nil where it did not come that far, or has no such operations.
  func value(of report: LoadReport, _ plan: LoadPlan) -> Double? {
    if self == .loadedPerSecond {
      guard let load = report.phase(.load), load.putCount == plan.keyCount else { return nil }
      return Double(load.putCount) / load.seconds
    }
    guard report.failure == nil, let phase = report.phase(.measured) else { return nil }
    switch self {
    case .getP50Microseconds: return micros(phase.gets, \.p50Nanoseconds)
    case .getP99Microseconds: return micros(phase.gets, \.p99Nanoseconds)
    case .getP999Microseconds: return micros(phase.gets, \.p999Nanoseconds)
    case .getMaximumMicroseconds: return micros(phase.gets, \.maximumNanoseconds)
    case .putP50Microseconds: return micros(phase.puts, \.p50Nanoseconds)
    case .putP99Microseconds: return micros(phase.puts, \.p99Nanoseconds)
    case .putP999Microseconds: return micros(phase.puts, \.p999Nanoseconds)
    case .putMaximumMicroseconds: return micros(phase.puts, \.maximumNanoseconds)
    case .putP99OfLoadMicroseconds:
      return report.phase(.load).flatMap { micros($0.puts, \.p99Nanoseconds) }
    default: return rateOrCost(of: phase, in: report, plan)
    }
  }

  private func micros(
    _ latencies: LatencyFigures, _ figure: KeyPath<LatencyFigures, UInt64>
  ) -> Double? {
    latencies.count > 0 ? Double(latencies[keyPath: figure]) / 1000 : nil
  }

  private func rateOrCost(
    of phase: LoadLine.Phase, in report: LoadReport, _ plan: LoadPlan
  ) -> Double? {
    let operationCount = Double(phase.putCount + phase.getCount)
    let userBytes = Double(LoadPlan.userByteCount(puts: phase.putCount))
    let dataBytes = Double(LoadPlan.userByteCount(puts: plan.keyCount))
    let series = RateSeries(report.rates(.measured))
    switch self {
    case .operationsPerSecond: return operationCount / phase.seconds
    case .medianSecond: return series.median
    case .worstSecond: return series.worst
    case .worstShare: return series.worstShare
    case .slowSeconds: return Double(series.slowSecondCount)
    case .writeAmplification: return Double(phase.writtenByteCount) / userBytes
    case .deviceWriteAmplification:
      return phase.deviceWrittenByteCount.map { Double($0) / userBytes }
    case .spaceAmplification: return Double(phase.diskByteCount) / dataBytes
    case .peakSpaceAmplification: return Double(report.peakDiskByteCount) / dataBytes
    case .cpuSeconds: return phase.cpuSeconds
    case .cpuMicrosecondsPerOperation: return phase.cpuSeconds / operationCount * 1e6
    case .peakResidentMebibytes:
      return report.closed.map { Double($0.peakResidentByteCount) / Double(1 << 20) }
    default: return nil
    }
  }

  /// What Varve aims at: a bound of its own, or of its ratio to the peer.
  enum Goal {
    case atLeast(Double), atMost(Double), ratioAtLeast(Double), timesLoad(Double)
  }

  var goal: Goal? {
    switch self {
    case .medianSecond: .ratioAtLeast(1.5)
    case .worstShare: .atLeast(0.5)
    case .writeAmplification: .atMost(2.5)
    case .putP99Microseconds: .timesLoad(2)
    default: nil
    }
  }
}
