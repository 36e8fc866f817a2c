/// How an open found the store.
public enum RecoveryOutcome: String, Hashable, Sendable {
  /// It had been closed.
  case clean
  /// It had not been closed; at most unacknowledged writes at the end of the log were dropped.
  case recovered
  /// Damage was found: what it touches fails with `corrupt` or `suspect`.
  case degraded
}

/// What an open had to do and what it found.
public struct RecoveryReport: Hashable, Sendable {
  /// The verdict.
  public var outcome: RecoveryOutcome = .clean
  /// Records of incomplete or orphaned frames at the end of the log, as far as they can be counted.
  public var droppedRecordCount = 0
  /// Bytes of such frames.
  public var droppedByteCount = 0
  /// Bytes read.
  public var readByteCount: UInt64 = 0
  /// Records taken from a checkpoint.
  public var checkpointEntryCount = 0
  /// Records taken from segment summaries.
  public var summaryRecordCount = 0
  /// Records taken from frames.
  public var frameRecordCount = 0
  /// Whether a checkpoint was used.
  public var usedCheckpoint = false
  /// Seconds that recovery took.
  public var durationSeconds = 0.0
  /// Where damage of unknown extent was found: a key whose newest surviving record has a sequence
  /// number below this, or that has none, may have had a newer one. Reads of it fail with
  /// `suspect`, unless `StoreOptions.allowSuspectReads` says otherwise.
  public var suspectCeiling: UInt64?
  /// Where the store's own clock stood when the open was done, in milliseconds since 1970.
  public var clockMilliseconds: UInt64 = 0
  /// How far the wall clock was ahead of the store's own, where that was too much to be believed:
  /// records do not expire by it until an open with `ClockJump.accept` confirms it. Nil where it
  /// was believed.
  public var heldClockJumpSeconds: Double?
  /// What was found damaged, in words that name structures and places, never keys.
  public var findings: [String] = []

  /// Makes an empty report.
  public init() {}
}

/// How far a recovery is.
public struct RecoveryProgress: Hashable, Sendable {
  /// Bytes read so far.
  public var byteCountDone: UInt64
  /// Bytes to read in all, as planned.
  public var byteCount: UInt64

  /// Describes progress.
  public init(byteCountDone: UInt64, byteCount: UInt64) {
    self.byteCountDone = byteCountDone
    self.byteCount = byteCount
  }
}

/// What a recovery would do, made without doing it.
public struct RecoveryPlan: Hashable, Sendable {
  /// How the store was last left.
  public var wasClean: Bool
  /// Bytes that would be read at most, where nothing is damaged.
  public var byteCountToRead: UInt64
  /// Bytes of memory at the peak.
  public var memoryByteCount: UInt64
  /// An estimate of the time, in seconds, from a short measurement of the device.
  public var estimatedSeconds: Double
  /// Segments whose frames would be read.
  public var frameSegmentCount: Int
  /// Segments whose summaries would be read.
  public var summarySegmentCount: Int
  /// Whether a checkpoint would be used.
  public var usesCheckpoint: Bool
  /// Whether another process holds the store, so that all this may be stale.
  public var isLive = false
  /// The holder's process, where it can be known.
  public var holderProcessID: Int32?
}
