import Glibc

/// How an engine drives a device.
public struct DeviceOptions: Sendable {
  /// AIO and io_uring: the number of contexts or rings, each with a thread; by default one for
  /// every four cores.
  public var contextCount: Int
  /// AIO and io_uring: the requests that one context or ring has in flight; more wait in its queue.
  public var queueDepth: Int
  /// Thread pool: the number of threads, which is the number of requests in flight.
  public var threadCount: Int
  /// A request in flight for longer is counted and reported.
  public var slowRequestNanoseconds: UInt64
  /// Called on a thread of the device for each slow request, once; it must not block.
  public var onSlowRequest: (@Sendable (SlowRequest) -> Void)?

  /// Defaults that suit two to eight cores.
  public init(
    contextCount: Int = DeviceOptions.defaultContextCount, queueDepth: Int = 128,
    threadCount: Int = 32,
    slowRequestNanoseconds: UInt64 = 5_000_000_000,
    onSlowRequest: (@Sendable (SlowRequest) -> Void)? = nil
  ) {
    self.contextCount = contextCount
    self.queueDepth = queueDepth
    self.threadCount = threadCount
    self.slowRequestNanoseconds = slowRequestNanoseconds
    self.onSlowRequest = onSlowRequest
  }

  /// One for every four cores, at most 8: on two cores a second reaper only takes turns with the
  /// first (64 reads in flight: 70, 57 and 34 K/s with one context, 65, 21 and 15 K/s with two, in
  /// three rounds on a busy machine).
  public static var defaultContextCount: Int { max(1, min(8, coreCount / 4)) }

  /// The cores of the machine.
  public static var coreCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// More contexts than this cost more in `aio-nr` and threads than they bring.
  public static let maximumContextCount = 64
  /// The deepest ring: `aio-max-nr` is 65,536 for the whole system by default.
  public static let maximumQueueDepth = 4096
  /// The most threads of a pool.
  public static let maximumThreadCount = 256
  /// The most requests that wait in one queue; beyond that a request fails with EAGAIN.
  public static let maximumQueuedCount = 65_536
  /// The requests handed over by one system call: 1–4 were measured to be the best for AIO.
  static let submissionBatchCount = 4
  /// The pieces of memory that one system call takes; a request with more goes in several.
  static let maximumVectorCount = 16
  /// How often a short transfer is continued, or repeated, before it fails with EIO.
  static let maximumContinuationCount = 64
}

/// A request that has been in flight for too long.
public struct SlowRequest: Hashable, Sendable {
  /// What was asked.
  public let operation: IOOperation
  /// Where, in bytes from the start of the device.
  public let byteOffset: UInt64
  /// How much.
  public let byteCount: Int
  /// How long it has been in flight.
  public let ageNanoseconds: UInt64
  /// Whether it had not completed when it was noticed.
  public let isInFlight: Bool
}
