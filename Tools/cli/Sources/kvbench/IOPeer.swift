import DeviceLoad
import Measuring
import VarveIO

/// What the I/O layer is compared with, on the same file in the same round.
enum IOPeer {
  /// fio with libaio.
  case fio(RawProbe)
  /// Where there is no fio: the engine driven by a plain loop, without tasks.
  case loop(DeviceEngine)

  /// fio where it runs, the loop otherwise.
  static func best(_ raw: RawProbe, engines: [DeviceEngine]) -> IOPeer {
    let version = try? Child.run("/usr/bin/env", [raw.program, "--version"], isQuiet: true)
    return version != nil ? .fio(raw) : .loop(engines.first ?? .threads)
  }

  var name: String {
    switch self {
    case .fio: "fio-libaio"
    case .loop(let engine): "loop-\(engine.toolName)"
    }
  }

  func measure(
    _ kind: LoadKind, depth: Int, source: AddressSource, bench: IOBench
  ) async throws -> IOFigures {
    switch self {
    case .fio(let raw):
      return try raw.figures(
        kind, path: bench.path, byteCount: bench.byteCount, depth: depth, seconds: bench.seconds)
    case .loop(let engine):
      let opened = try await bench.open(engine, isWriting: kind.isWriting, depth: depth)
      let clock = Stopwatch()
      let result = await DeviceLoad(kind, depth: depth, source: source).run(
        on: opened.device, seconds: bench.seconds)
      let cpuSeconds = clock.cpuSeconds
      opened.device.close()
      if let error = result.error { throw error }
      return IOFigures(
        rate: result.rate, cpuMicroseconds: cpuSeconds / Double(result.requestCount) * 1e6,
        p50Microseconds: Double(result.latencies.nanoseconds(atPercent: 50)) / 1000,
        p99Microseconds: Double(result.latencies.nanoseconds(atPercent: 99)) / 1000)
    }
  }
}
