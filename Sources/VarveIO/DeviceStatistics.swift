import Synchronization

/// What a device has done since it was opened.
public struct DeviceStatistics: Hashable, Sendable {
  /// Reads that succeeded.
  public var readCount: UInt64 = 0
  /// Writes that succeeded, durable ones included.
  public var writeCount: UInt64 = 0
  /// Flushes that succeeded.
  public var flushCount: UInt64 = 0
  /// Bytes read.
  public var readByteCount: UInt64 = 0
  /// Bytes written.
  public var writtenByteCount: UInt64 = 0
  /// Requests that failed.
  public var failureCount: UInt64 = 0
  /// Requests that were in flight for longer than the limit.
  public var slowRequestCount: UInt64 = 0
  /// Requests with the kernel now.
  public var inFlightCount = 0
  /// Requests that wait for a free slot now.
  public var queuedCount = 0
  /// The longest that handing requests to the kernel has blocked a caller.
  public var maximumSubmitNanoseconds: UInt64 = 0

  /// Nothing done yet.
  public init() {}
}

/// A device that counts what it does.
public protocol InstrumentedDevice: BlockDevice {
  /// The counters; each is exact, together they are no snapshot.
  var statistics: DeviceStatistics { get }
}

/// The counters of one thread or shard of a device, which any thread may read.
struct DeviceCounters: ~Copyable, Sendable {
  private let readCount = Atomic<UInt64>(0)
  private let writeCount = Atomic<UInt64>(0)
  private let flushCount = Atomic<UInt64>(0)
  private let readByteCount = Atomic<UInt64>(0)
  private let writtenByteCount = Atomic<UInt64>(0)
  private let failureCount = Atomic<UInt64>(0)
  private let slowRequestCount = Atomic<UInt64>(0)
  private let maximumSubmitNanoseconds = Atomic<UInt64>(0)

  borrowing func countSuccess(of operation: IOOperation, byteCount: Int) {
    switch operation {
    case .read:
      readCount.wrappingAdd(1, ordering: .relaxed)
      readByteCount.wrappingAdd(UInt64(byteCount), ordering: .relaxed)
    case .write, .writeDurably:
      writeCount.wrappingAdd(1, ordering: .relaxed)
      writtenByteCount.wrappingAdd(UInt64(byteCount), ordering: .relaxed)
    case .flush: flushCount.wrappingAdd(1, ordering: .relaxed)
    }
  }

  borrowing func countFailure() { failureCount.wrappingAdd(1, ordering: .relaxed) }

  borrowing func countSlowRequest() { slowRequestCount.wrappingAdd(1, ordering: .relaxed) }

  borrowing func noteSubmit(nanoseconds: UInt64) {
    guard nanoseconds > maximumSubmitNanoseconds.load(ordering: .relaxed) else { return }
    maximumSubmitNanoseconds.max(nanoseconds, ordering: .relaxed)
  }

  borrowing func add(to total: inout DeviceStatistics) {
    total.readCount += readCount.load(ordering: .relaxed)
    total.writeCount += writeCount.load(ordering: .relaxed)
    total.flushCount += flushCount.load(ordering: .relaxed)
    total.readByteCount += readByteCount.load(ordering: .relaxed)
    total.writtenByteCount += writtenByteCount.load(ordering: .relaxed)
    total.failureCount += failureCount.load(ordering: .relaxed)
    total.slowRequestCount += slowRequestCount.load(ordering: .relaxed)
    total.maximumSubmitNanoseconds = Swift.max(
      total.maximumSubmitNanoseconds, maximumSubmitNanoseconds.load(ordering: .relaxed))
  }
}
