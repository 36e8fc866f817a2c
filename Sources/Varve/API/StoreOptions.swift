import CoreMetrics
import Logging

/// Which I/O engine drives the device.
public enum IOEngineChoice: String, Hashable, Sendable, CaseIterable {
  /// Linux AIO, or blocking threads (with a warning) where the kernel refuses it.
  case automatic
  /// Linux AIO.
  case linuxAIO = "aio"
  /// A pool of threads with blocking calls.
  case threads
}

/// How a store is opened.
public struct StoreOptions: Sendable {
  /// The bound of index, cache and buffers together, in bytes; nil takes a quarter of what the
  /// machine or the control group allows, at most 1 GiB.
  public var memoryBudget: Int?
  /// Opens for reading only: nothing is written, and other readers may open it too.
  public var readOnly: Bool
  /// Opens a store with damage of unknown extent, for reading only: reads that the damage may have
  /// touched fail with `suspect`.
  public var allowDegraded: Bool
  /// Seconds to wait while another process holds the store, as in a rolling restart.
  public var waitForLockSeconds: Double
  /// The I/O engine.
  public var engine: IOEngineChoice
  /// I/O contexts, each with a thread that reaps it; nil takes a number from the cores.
  public var contextCount: Int?
  /// Values shorter than this are not cached; longer ones are, within the budget.
  public var cacheEnabled: Bool
  /// Compresses values with LZ4 where it saves an eighth.
  public var compression: Bool
  /// Uses buffered I/O where the file system offers no direct I/O. Durability then rests on flushes
  /// alone, and reads are cached twice.
  public var allowBufferedIO: Bool
  /// The longest time that recovery after a crash should take, in seconds: the pace of checkpoints.
  public var recoveryTimeTargetSeconds: Double
  /// Where messages go.
  public var logger: Logger
  /// Where metrics go; nil emits none.
  public var metricsFactory: (any MetricsFactory)?
  /// Called while the store recovers.
  public var recoveryProgress: (@Sendable (RecoveryProgress) -> Void)?

  /// Sets the options.
  public init(
    memoryBudget: Int? = nil, readOnly: Bool = false, allowDegraded: Bool = false,
    waitForLockSeconds: Double = 0, engine: IOEngineChoice = .automatic,
    contextCount: Int? = nil, cacheEnabled: Bool = true, compression: Bool = true,
    allowBufferedIO: Bool = false, recoveryTimeTargetSeconds: Double = 1,
    logger: Logger = Logger(label: "varve"), metricsFactory: (any MetricsFactory)? = nil,
    recoveryProgress: (@Sendable (RecoveryProgress) -> Void)? = nil
  ) {
    self.memoryBudget = memoryBudget
    self.readOnly = readOnly
    self.allowDegraded = allowDegraded
    self.waitForLockSeconds = waitForLockSeconds
    self.engine = engine
    self.contextCount = contextCount
    self.cacheEnabled = cacheEnabled
    self.compression = compression
    self.allowBufferedIO = allowBufferedIO
    self.recoveryTimeTargetSeconds = recoveryTimeTargetSeconds
    self.logger = logger
    self.metricsFactory = metricsFactory
    self.recoveryProgress = recoveryProgress
  }
}
