import CoreMetrics
import Logging
import VarveIO

/// Which I/O engine drives the device.
public enum IOEngineChoice: String, Hashable, Sendable, CaseIterable {
  /// Linux AIO, or blocking threads (with a warning) where the kernel refuses it.
  case automatic
  /// Linux AIO; opening fails with `usage` where the kernel or a container's policy does not allow
  /// it.
  case linuxAIO = "aio"
  /// A pool of threads with blocking calls.
  case threads
  /// io_uring, behind the package trait `IOUring`: opening fails with `usage` without the trait,
  /// and where the kernel or a container's policy does not allow it.
  case uring
}

/// How a store is opened. The defaults suit a service; <doc:Configuration> says what to change
/// when.
public struct StoreOptions: Sendable {
  /// The bound of index, cache, buffers and reads together, in bytes, at least 8 MiB; nil takes a
  /// quarter of what the machine and the control groups of the process allow, from 8 MiB to 1 GiB.
  /// A key takes about 20 bytes once there are many. What ran within a budget reopens within it.
  public var memoryBudget: Int?
  /// Opens for reading only: nothing is written, and other readers may open it too.
  public var readOnly: Bool
  /// Opens a store with damage of unknown extent, for reading only: reads that the damage may have
  /// touched fail with `suspect`.
  public var allowDegraded: Bool
  /// Lets reads of a degraded store answer what would fail with `suspect`: the newest version that
  /// survives, or nil, though a newer one may have been lost. `RecoveryReport.suspectCeiling` tells
  /// which answers those are.
  public var allowSuspectReads: Bool
  /// Seconds to wait while another process holds the store, as in a rolling restart; 0 or less
  /// fails at once. `Store.open(path:options:waitForLock:clockJump:)` with a duration ignores this.
  public var waitForLockSeconds: Double
  /// The I/O engine.
  public var engine: IOEngineChoice
  /// I/O contexts, each with a thread that reaps it, from 1 to 64 (opening a path with another
  /// number fails with `usage`); nil takes one for every four cores, at most 8.
  public var contextCount: Int?
  /// Threads of `Store.executor`, each with a context of its own, from 1 to 64 (opening with
  /// another number fails with `usage`); nil takes one for every core, at most 16. They start when
  /// `Store.executor` is first asked for.
  public var executorThreadCount: Int?
  /// Whether records that are read stay in memory, within the budget, for later reads.
  public var cacheEnabled: Bool
  /// Compresses values of 64 bytes and more with LZ4, each where that saves at least an eighth.
  /// What was written with another setting stays readable.
  public var compression: Bool
  /// Uses buffered I/O where the file system offers no direct I/O. Durability then rests on flushes
  /// alone, and reads are cached twice.
  public var allowBufferedIO: Bool
  /// The longest time that recovery after a crash should take, in seconds: the pace of checkpoints.
  /// A goal, not a promise; 0 writes a checkpoint whenever a quarter of the keys were written anew.
  public var recoveryTimeTargetSeconds: Double
  /// How many bytes per second compaction may read and write, taken together; nil, the default,
  /// sets no bound.
  ///
  /// The bound holds also where space is short: writers then wait for compaction, so one below
  /// what they need makes them slower. At least 1 MiB per second.
  public var compactionBytesPerSecond: Int?
  /// Whether segments that are half empty are put together once nobody has written for a second,
  /// so that a burst finds free ones; on by default. What is moved is written once more, and a
  /// segment is moved only where that gives back half of it.
  public var compactsWhenIdle: Bool
  /// How far the wall clock may be ahead of the store's own when a store with expiries is opened,
  /// in seconds; beyond it the open needs `ClockJump.accept` for the wall clock to count. The
  /// default is four weeks, no more than any month: a store may stay closed that long, and a date
  /// with a wrong month or year is not believed.
  public var clockJumpBoundSeconds: Double
  /// Tells the device which segments hold nothing any more, so that a flash device need not carry
  /// their content along, and a thin volume can give it back. Off unless asked for: some devices
  /// stall on discards, and what is discarded cannot be looked into afterwards.
  ///
  /// It happens on a thread of its own, off the path of reads and writes; a segment is not used
  /// again before. A file is never discarded. What was free before the store was opened is left as
  /// it is. Where a discard fails, that is logged once, and none is tried until the next open.
  public var discard: Bool
  /// Where messages go: nothing in them shows keys or values.
  public var logger: Logger
  /// Where metrics go, once a second; nil emits none. <doc:Metrics> lists them.
  public var metricsFactory: (any MetricsFactory)?
  /// Where the open store tells its statistics on a Unix socket, at most 107 bytes; nil, the
  /// default, serves none. `statisticsSocketPath(forStoreAt:)` is where `kvctl` looks for it.
  ///
  /// The socket has mode 0600, and its name goes when the store is closed. One that a killed
  /// process left is replaced. A path that is too long fails with `usage`; where the socket cannot
  /// be made for another reason, the store opens without it and logs a warning. <doc:Operating> has
  /// the protocol.
  public var statisticsSocketPath: String?
  /// Called while the store recovers, on a thread of the store; it must not block.
  public var recoveryProgress: (@Sendable (RecoveryProgress) -> Void)?

  /// Sets the options.
  public init(
    memoryBudget: Int? = nil, readOnly: Bool = false, allowDegraded: Bool = false,
    allowSuspectReads: Bool = false, waitForLockSeconds: Double = 0,
    engine: IOEngineChoice = .automatic, contextCount: Int? = nil,
    executorThreadCount: Int? = nil, cacheEnabled: Bool = true, compression: Bool = true,
    allowBufferedIO: Bool = false,
    recoveryTimeTargetSeconds: Double = 1, compactionBytesPerSecond: Int? = nil,
    compactsWhenIdle: Bool = true, clockJumpBoundSeconds: Double = 28 * 86_400,
    discard: Bool = false,
    logger: Logger = Logger(label: "varve"),
    metricsFactory: (any MetricsFactory)? = nil, statisticsSocketPath: String? = nil,
    recoveryProgress: (@Sendable (RecoveryProgress) -> Void)? = nil
  ) {
    self.memoryBudget = memoryBudget
    self.readOnly = readOnly
    self.allowDegraded = allowDegraded
    self.allowSuspectReads = allowSuspectReads
    self.waitForLockSeconds = waitForLockSeconds
    self.engine = engine
    self.contextCount = contextCount
    self.executorThreadCount = executorThreadCount
    self.cacheEnabled = cacheEnabled
    self.compression = compression
    self.allowBufferedIO = allowBufferedIO
    self.recoveryTimeTargetSeconds = recoveryTimeTargetSeconds
    self.compactionBytesPerSecond = compactionBytesPerSecond
    self.compactsWhenIdle = compactsWhenIdle
    self.clockJumpBoundSeconds = clockJumpBoundSeconds
    self.discard = discard
    self.logger = logger
    self.metricsFactory = metricsFactory
    self.statisticsSocketPath = statisticsSocketPath
    self.recoveryProgress = recoveryProgress
  }

  /// Where `kvctl` looks for the socket of a store unless `--socket` names it: beside a file, with
  /// `.sock` added to its path; for a block device in `/run/varve`, by the name of the device to
  /// which links lead.
  public static func statisticsSocketPath(forStoreAt path: String) -> String {
    LocalServer.conventionalPath(forStoreAt: path)
  }

  /// Some thirty years stand for "believe every wall clock".
  static let clockJumpBounds = 0...1e9

  /// Refuses a bound that is none.
  func validateClock() throws(StoreError) {
    guard StoreOptions.clockJumpBounds.contains(clockJumpBoundSeconds) else {
      throw StoreError(
        .usage, "clockJumpBoundSeconds must lie between 0 and 1e9, and is \(clockJumpBoundSeconds)")
    }
  }

  /// The least bound of compaction: below it a step takes seconds.
  static let minimumCompactionBytesPerSecond = 1 << 20

  /// Refuses a bound that no step could keep.
  func validateRate() throws(StoreError) {
    guard let rate = compactionBytesPerSecond,
      rate < StoreOptions.minimumCompactionBytesPerSecond
    else { return }
    throw StoreError(
      .usage,
      "compactionBytesPerSecond must be at least "
        + "\(StoreOptions.minimumCompactionBytesPerSecond), or nil, and is \(rate)")
  }

  /// One for every core, at most 16.
  static var defaultExecutorThreadCount: Int { min(16, DeviceOptions.coreCount) }

  /// Refuses what no device can be opened with, before anything is touched.
  func validate() throws(StoreError) {
    try validateSocketPath()
    try validateClock()
    try validateRate()
    let bounds = 1...DeviceOptions.maximumContextCount
    for (name, count) in [
      ("contextCount", contextCount), ("executorThreadCount", executorThreadCount),
    ] {
      guard count.map(bounds.contains) ?? true else {
        throw StoreError(
          .usage,
          "\(name) must lie between \(bounds.lowerBound) and \(bounds.upperBound), or be nil")
      }
    }
  }

  /// Refuses what can be no path of a socket.
  func validateSocketPath() throws(StoreError) {
    guard let statisticsSocketPath else { return }
    do throws(DeviceError) {
      try LocalServer.check(path: statisticsSocketPath)
    } catch {
      throw StoreError(.usage, error.message)
    }
  }
}
