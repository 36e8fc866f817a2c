// A closed loop on a device: so many requests in flight, each submitted again on the thread that
// completed it. No tasks and no executor: what is measured is the device and the engine.

import Measuring
import Synchronization
import VarveIO

/// A load of one kind, with a fixed number of requests in flight.
public struct DeviceLoad: Sendable {
  /// What a load measured.
  public struct Result: Sendable {
    /// Requests that came to their end; a flushed write is one.
    public var requestCount: UInt64 = 0
    /// How long it took, from the first submission to the last completion.
    public var seconds: Double = 0
    /// How long each request took.
    public var latencies = Latencies()
    /// How long callers were held up in submitting, all together.
    public var submitNanoseconds: UInt64 = 0
    /// The first error, at which the load ended.
    public var error: IOError?

    /// Requests a second.
    public var rate: Double { seconds > 0 ? Double(requestCount) / seconds : 0 }

    /// Nothing measured yet.
    public init() {}

    /// Takes in another part of the same measurement.
    public mutating func add(_ other: Result) {
      requestCount += other.requestCount
      seconds += other.seconds
      latencies.add(other.latencies)
      submitNanoseconds += other.submitNanoseconds
      error = error ?? other.error
    }
  }

  private let kind: LoadKind
  private let depth: Int
  private let source: AddressSource

  /// A load with `depth` requests in flight.
  public init(_ kind: LoadKind, depth: Int, source: AddressSource) {
    self.kind = kind
    self.depth = depth
    self.source = source
  }

  /// Runs the load until the time is over, or `isStopped` says so. Returns when nothing is in
  /// flight any more.
  public func run(
    on device: any BlockDevice, seconds: Double, isStopped: () -> Bool = { false }
  ) async -> Result {
    let state = LoadState(
      device: device, kind: kind, source: source, runningCount: depth,
      deadlineNanoseconds: MonotonicClock.nanoseconds() + UInt64(seconds * 1e9))
    let requests = (0..<depth).map { _ in LoadRequest(state) }
    let start = MonotonicClock.nanoseconds()
    for request in requests { request.launch(MonotonicClock.nanoseconds()) }
    while !state.isFinished {
      if isStopped() { state.stop() }
      // A cancelled task goes on waiting: the requests in flight use memory that is freed here.
      if (try? await Task.sleep(for: .milliseconds(2))) == nil { await Task.yield() }
    }
    var result = Result()
    for request in requests {
      result.requestCount += request.latencies.count
      result.latencies.add(request.latencies)
    }
    result.seconds = Double(state.lastNanoseconds - start) / 1e9
    result.submitNanoseconds = state.submitNanoseconds.load(ordering: .relaxed)
    result.error = state.error
    return result
  }
}
