import ArgumentParser
import Logging
import Varve

/// The options that every command takes.
public struct SharedOptions: ParsableArguments {
  /// The I/O engines that can be asked for.
  public enum Engine: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// Linux AIO.
    case aio
    /// Blocking calls on a pool of threads.
    case threads
    /// io_uring.
    case uring
  }

  /// When messages are coloured.
  public enum ColorChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// On a terminal, unless NO_COLOR is set.
    case auto
    /// Always.
    case always
    /// Never.
    case never
  }

  /// The I/O engine.
  @Option(
    help: """
      The I/O engine: aio (Linux AIO), threads or uring (io_uring, which containers often forbid). \
      Default: aio where it works, else threads.
      """)
  public var engine: Engine?
  /// The bound of index, cache and buffers.
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Memory for index, cache and buffers: from 8MiB to 1TiB, such as 512MiB.",
      valueName: "size"),
    transform: ByteSize.argument)
  public var memoryBudget: ByteSize?
  /// I/O contexts.
  @Option(
    parsing: .unconditional,
    help: "I/O contexts to use: from 1 to 64. Default: by the number of cores.")
  public var shards: Int?
  /// Seconds to wait for the lock.
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How long to wait while another process has the store: up to 86400 seconds.",
      valueName: "seconds"))
  public var wait: Double = 0
  /// Discards segments as they are freed.
  @Flag(
    help: """
      On a device, discard segments as they are freed. A file is never discarded.
      """)
  public var discard = false
  /// Prints one JSON object (or one a line) instead of text.
  @Flag(help: "Print JSON, also for errors.")
  public var json = false
  /// Leaves out progress and remarks.
  @Flag(name: [.customShort("q"), .customLong("quiet")], help: "No progress, no remarks.")
  public var isQuiet = false
  /// Says more.
  @Flag(
    name: [.customShort("v"), .customLong("verbose")],
    help: "Print what the store logs; with --json as objects.")
  public var isVerbose = false
  /// When messages are coloured.
  @Option(help: "Colour messages: auto, always or never. NO_COLOR is honoured.")
  public var color: ColorChoice = .auto

  /// Made by the parser.
  public init() {}

  /// Refuses values that make no sense.
  public mutating func validate() throws {
    if let shards, !(1...64).contains(shards) {
      throw ValidationError("--shards must lie between 1 and 64, and is \(shards)")
    }
    guard wait >= 0, wait <= 86_400 else {
      throw ValidationError("--wait must lie between 0 and 86400 seconds, and is \(wait)")
    }
    // Too little is for the store to say: it depends on the number of segments.
    if let memoryBudget, memoryBudget.byteCount > 1 << 40 {
      throw ValidationError(
        "--memory-budget must lie between 8MiB and 1TiB, and is \(memoryBudget)")
    }
    guard !(isQuiet && isVerbose) else { throw ValidationError("-q and -v exclude each other") }
  }

  /// Whether progress is shown (on a terminal).
  public var showsProgress: Bool { !isQuiet && !json }

  /// How the store is opened.
  public func storeOptions(
    readOnly: Bool, allowDegraded: Bool = false, allowSuspectReads: Bool = false,
    recoveryProgress: (@Sendable (RecoveryProgress) -> Void)? = nil
  ) -> StoreOptions {
    let engineChoice: IOEngineChoice =
      switch engine {
      case .aio: .linuxAIO
      case .threads: .threads
      case .uring: .uring
      case nil: .automatic
      }
    // With JSON an error is one object on standard error: nothing else stands there unasked.
    let level: Logger.Level = isVerbose ? .debug : json ? .critical : isQuiet ? .error : .warning
    let isJSON = json
    let logger = Logger(label: "varve") { _ in
      ToolLogHandler(tool: ToolMain.name, isJSON: isJSON, logLevel: level)
    }
    return StoreOptions(
      memoryBudget: memoryBudget.map { Int(clamping: $0.byteCount) }, readOnly: readOnly,
      allowDegraded: allowDegraded, allowSuspectReads: allowSuspectReads,
      waitForLockSeconds: wait, engine: engineChoice, contextCount: shards,
      discard: discard, logger: logger,
      recoveryProgress: recoveryProgress)
  }

  /// Prints a remark on standard error, unless asked for quiet.
  public func remark(_ text: String) {
    guard !isQuiet else { return }
    if json {
      try? ByteOutput.messages.writeLine([
        "ok": true, "event": "remark", "message": .string(text),
      ])
    } else {
      try? ByteOutput.messages.writeLine("\(ToolMain.name): \(text)")
    }
    try? ByteOutput.messages.flush()
  }
}
