import VarveFormat
import VarveIO

/// What the log's lock protects.
struct LogState {
  /// Whether the log works.
  enum Mode {
    /// Appends and writes.
    case running
    /// A write failed: nothing is submitted until the records have been rewritten elsewhere.
    case rewriting
    /// A flush failed, or rewriting did: nothing more is written.
    case poisoned(StoreError)
    /// Closed for appends.
    case closed
  }

  var mode = Mode.running
  /// Frames that are not yet durable, in stream order; the last may be open.
  var frames: [LogFrame] = []
  /// How many of `frames`, from the first, are on the device without a gap.
  var writtenCount = 0
  var submittedCount = 0
  /// Frames that somebody waited for when they were submitted, and that are not on the device yet
  /// or have a gap before them.
  var unwrittenCommitCount = 0
  /// Frames that are closed and not submitted.
  var closedCount = 0
  /// Whether a written frame waits for a flush.
  var needsFlush = false
  /// Whether a segment may have nothing live left.
  var hasDeadSegments = false
  var nextFrameIdentifier: UInt64 = 1
  /// The last frame that is durable.
  var durableFrameIdentifier: UInt64 = 0
  /// The last frame that a flush in flight covers; nil without one.
  var flushCovers: UInt64?

  var current: OpenSegment?
  /// Segments that are open in the table and wait to be used, the next one first.
  var ready: [PreparedSegment] = []
  var finished: [FinishedSegment] = []
  /// The last segment finished, for the header of the next.
  var predecessor: FinishedSegment?
  /// Changes whenever a segment comes that puts may use.
  var roomCount: UInt64 = 0
  /// Whether no segment is left but the reserve.
  var isFull = false
  /// Whether not even the reserve has a segment left.
  var isExhausted = false
  /// Whether the maintenance task frees segments and has not said yet how much space there is.
  var isFreeing = false
  /// Whether compaction is making space.
  var isReclaiming = false
  /// Bytes of frames that puts may still fill before compaction has made more space; nil without a
  /// limit.
  var ingestCredit: Int?
  /// Whether sequence numbers came since writers that wait for room last tried.
  var needsRoomCheck = false

  var lastSequence = SequenceNumber.zero
  /// Sequence numbers up to here may be used: the superblock says so durably.
  var sequenceCeiling = SequenceNumber.zero
  var durableSequence = SequenceNumber.zero
  /// The watermark that the last frame carried.
  var watermarkWritten = SequenceNumber.zero
  var openEpoch: UInt32 = 0

  /// Bytes of memory of frames that hold their buffer.
  var bufferByteCount = 0
  var freeBuffers: [PageBuffer] = []
  /// Writers that wait for memory, a segment or sequence numbers.
  var spaceWaiters: [SpaceWaiter] = []
  /// Tells those waiters apart.
  var nextSpaceToken: UInt64 = 0
  /// `Maintenance`, while it waits for a frame to become durable: it alone can rewrite frames whose
  /// write failed, so a failure must wake it.
  var maintenanceWaiter: (identifier: UInt64, waiter: WriteWaiter)?
  /// Changes with every append: tells an idle log.
  var activityCount: UInt64 = 0
  /// The count at which nobody had written for a while.
  var idleActivityCount: UInt64?
  /// Records that an open would replay over the last checkpoint.
  var recordCountSinceCheckpoint = 0

  /// Whether the maintenance task has segments to seal, to free or to compact, perhaps once a flush
  /// has made deaths durable: a write waits for that before it is refused.
  var hasSpaceToCome: Bool {
    hasDeadSegments || isFreeing || isReclaiming || !finished.isEmpty
      || frames.contains { !$0.superseded.isEmpty }
  }

  /// The frame that takes records, if there is one.
  var openFrame: LogFrame? {
    guard let last = frames.last, last.state == .open else { return nil }
    return last
  }

  /// Whether a commit that somebody waits for is under way: its write or its flush is in flight.
  var hasCommitInFlight: Bool { flushCovers != nil || unwrittenCommitCount > 0 }

  /// Whether an idle log would have something to write: buffered records, or the watermark that
  /// witnesses the last commit. A group that gathers behind a commit goes when that ends, however
  /// slowly it gathers.
  var hasQuietWork: Bool {
    guard case .running = mode else { return false }
    if let openFrame { return openFrame.recordCount > 0 && !openFrame.hasWaiters }
    return frames.isEmpty && durableSequence > watermarkWritten && current != nil
  }
}

/// Why an append has to wait.
enum WaitReason {
  /// The memory of frames is in use, and so many bytes of it are needed; a completed write gives
  /// it back.
  case memory(byteCount: Int)
  /// A segment, sequence numbers or a rewrite: `Maintenance` provides.
  case maintenance
  /// Compaction is to make space first.
  case credit
  /// The segments that are free are for others, and more are about to be; the count tells whether
  /// there have been new ones since.
  case reclamation(roomCount: UInt64)
}

/// A writer that waits for room.
struct SpaceWaiter {
  let token: UInt64
  let reason: WaitReason
  let waiter: WriteWaiter
}

extension LogState {
  /// Whether what a writer waits for is certainly there now.
  func isOver(_ reason: WaitReason, byteLimit: Int) -> Bool {
    guard case .memory(let byteCount) = reason else { return false }
    return bufferByteCount == 0 || bufferByteCount + byteCount <= byteLimit
  }

  /// Whether trying again can bring a writer further. In vain it would only wake the maintenance
  /// task, which woke it.
  func isWorthTrying(_ reason: WaitReason) -> Bool {
    switch reason {
    case .memory, .maintenance: true
    case .credit: ingestCredit.map { $0 > 0 } ?? true
    case .reclamation(let count):
      isFull || isExhausted || !hasSpaceToCome || roomCount != count
    }
  }
}

/// What is to be done once the lock is released: requests to submit, writers to resume, and what
/// to tell the caller's logger and listeners, which may do anything.
struct LogActions {
  var submissions: [LogFrame] = []
  /// The flush to submit: the last frame that it covers.
  var flushCovers: UInt64?
  var writeFailure: IOError?
  var poisonReason: String?
  var resumptions: [(waiter: WriteWaiter, error: StoreError?)] = []
  var needsMaintenance = false
  var hasQuietWork = false
}
