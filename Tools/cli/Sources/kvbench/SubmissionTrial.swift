import DeviceLoad
import Measuring
import VarveIO

/// How long `io_submit` keeps its caller, request by request: asynchronous I/O is what it names
/// only where that is short.
struct SubmissionTrial: ~Copyable {
  /// Where requests go.
  enum Order {
    /// Each page of the file once, in random order.
    case random(seed: UInt64)
    /// One page behind the other.
    case sequential
  }

  private let file: DirectFile
  private var queue: AIOQueue
  private let pages: AlignedMemory
  private var free: [Int]

  private static let depth = 32
  private static let pageByteCount = 4096

  /// Opens a file for direct I/O.
  init(path: String) throws {
    let queue = try AIOQueue(requestCapacity: Self.depth)
    file = try DirectFile.open(path)
    self.queue = queue
    pages = AlignedMemory(byteCount: Self.depth * Self.pageByteCount)
    free = Array(0..<Self.depth)
  }

  /// Submits requests one by one, 32 in flight, and returns how long each call took.
  mutating func run(isWrite: Bool, pageCount: Int, _ order: Order) throws -> Latencies {
    var latencies = Latencies()
    for index in 0..<pageCount {
      let page =
        switch order {
        case .random(let seed):
          Permutation(count: UInt64(pageCount), seed: seed)[UInt64(index)]
        case .sequential: UInt64(index)
        }
      while free.isEmpty { try reap() }
      let buffer = free.removeLast()
      let memory = UnsafeMutableRawBufferPointer(
        start: pages.base + buffer * Self.pageByteCount, count: Self.pageByteCount)
      let place = page * UInt64(Self.pageByteCount)
      try queue.prepare(
        isWrite
          ? .write(file.descriptorNumber, from: UnsafeRawBufferPointer(memory), at: place)
          : .read(file.descriptorNumber, into: memory, at: place), cookie: UInt64(buffer))
      let start = MonotonicClock.nanoseconds()
      _ = try queue.submit()
      latencies.record(MonotonicClock.nanoseconds() - start)
    }
    while queue.inFlightCount > 0 { try reap() }
    return latencies
  }

  private mutating func reap() throws {
    var completions: [AIOCompletion] = []
    _ = try queue.reap(maximumCount: Self.depth) { completions.append($0) }
    for completion in completions {
      guard completion.result == Self.pageByteCount else {
        throw BenchError("a request ended with \(completion.result)")
      }
      free.append(Int(completion.cookie))
    }
  }
}
