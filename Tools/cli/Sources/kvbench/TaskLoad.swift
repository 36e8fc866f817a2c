import DeviceLoad
import Measuring
import VarveIO

/// A load by tasks, each of which awaits its request before it makes the next.
struct TaskLoad {
  let kind: LoadKind
  let taskCount: Int
  let source: AddressSource
  let seconds: Double

  /// Runs the tasks at a place until the time is over.
  func run(on device: any BlockDevice, place: TaskPlace) async throws -> IOFigures {
    let source = source
    // Before the clock runs: memory and data to write are no part of a transfer.
    let requests = (0..<taskCount).map { _ in AwaitedRequest(kind) }
    let end = MonotonicClock.nanoseconds() + UInt64(seconds * 1e9)
    let clock = Stopwatch()
    var latencies = Latencies()
    try await withThrowingTaskGroup(of: Latencies.self) { group in
      for request in requests {
        group.addTask(executorPreference: place.executor) {
          try await Self.transfer(request, device, source, until: end)
        }
      }
      for try await part in group { latencies.add(part) }
    }
    let rate = clock.rate(Int(latencies.count))
    return IOFigures(
      rate: rate.rate, cpuMicroseconds: rate.cpuNanoseconds / 1000,
      p50Microseconds: Double(latencies.nanoseconds(atPercent: 50)) / 1000,
      p99Microseconds: Double(latencies.nanoseconds(atPercent: 99)) / 1000)
  }

  private static func transfer(
    _ request: AwaitedRequest, _ device: any BlockDevice, _ source: AddressSource,
    until end: UInt64
  ) async throws -> Latencies {
    var latencies = Latencies()
    var pages = source.hand()
    var start = MonotonicClock.nanoseconds()
    repeat {
      let place = request.kind.isSequential ? source.nextBlock() : pages.nextPage()
      if let error = await request.transfer(at: place, on: device) { throw error }
      let now = MonotonicClock.nanoseconds()
      latencies.record(now - start)
      start = now
    } while start < end
    return latencies
  }
}
