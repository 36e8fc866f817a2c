// What the maintenance task asks of the log and gives to it.

import Synchronization
import VarveFormat

extension LogAppender {
  var isPoisoned: Bool {
    state.withLock { state in
      if case .poisoned = state.mode { return true }
      return false
    }
  }

  var lastSequence: SequenceNumber { state.withLock { $0.lastSequence } }
  var durableSequence: SequenceNumber { state.withLock { $0.durableSequence } }
  var activityCount: UInt64 { state.withLock { $0.activityCount } }
  var bufferByteCount: Int { state.withLock { $0.bufferByteCount } }
  /// Whether nobody has written for a while.
  var isIdle: Bool { state.withLock { $0.idleActivityCount == $0.activityCount } }

  /// Notes that nobody has written for a while, unless somebody has; true if so.
  func noteIdle(ifActivityCountIs count: UInt64) -> Bool {
    state.withLock { state in
      guard state.activityCount == count else { return false }
      state.idleActivityCount = count
      return true
    }
  }

  var hasQuietWork: Bool { state.withLock { $0.hasQuietWork } }

  func setSequenceCeiling(_ ceiling: SequenceNumber) {
    state.withLock { state in
      state.sequenceCeiling = ceiling
      state.needsRoomCheck = true
    }
  }

  /// How many more segments the log wants made ready, where it may have `limit`: none while half of
  /// them are left. Few may wait to be sealed, because each keeps its summary in memory.
  func wantedSegmentCount(upTo limit: Int) -> Int {
    let unsealedLimit = max(4, min(8, (64 << 20) / geometry.segmentByteCount))
    return state.withLock { state in
      guard state.ready.count * 2 <= limit else { return 0 }
      return max(0, min(limit, unsealedLimit - state.finished.count) - state.ready.count)
    }
  }

  /// Whether a segment is ready for the records of puts.
  var hasSegmentForPuts: Bool { state.withLock { $0.ready.contains { !$0.isReserve } } }

  /// Whether records were superseded by others that are not durable yet.
  var hasPendingDeaths: Bool { state.withLock { $0.frames.contains { !$0.superseded.isEmpty } } }

  func provide(_ segments: [PreparedSegment]) {
    withLog { state, actions in
      state.ready += segments
      if segments.contains(where: { !$0.isReserve }) { state.roomCount += 1 }
      resumeSpaceWaiters(&state, &actions)
    }
  }

  /// Takes the segments back that were made ready and not used.
  func takeReady() -> [PreparedSegment] {
    state.withLock { state in
      defer { state.ready = [] }
      return state.ready
    }
  }

  /// Learns how much space is left.
  ///
  /// - Returns: whether puts are refused.
  func noteSpace(hasRoomForPuts: Bool, isExhausted: Bool, isReclaiming: Bool) -> Bool {
    state.withLock { state in
      state.isFreeing = false
      state.isReclaiming = isReclaiming
      if hasRoomForPuts {
        let had = state.current?.isReserve != true && state.ready.allSatisfy { !$0.isReserve }
        if !had { state.roomCount += 1 }
        for position in state.ready.indices { state.ready[position].isReserve = false }
        state.current?.isReserve = false
      }
      state.isFull = !hasRoomForPuts && !isReclaiming && state.ready.allSatisfy(\.isReserve)
      state.isExhausted = isExhausted && state.ready.isEmpty
      return state.isFull
    }
  }

  /// Whether puts may only write what compaction has made room for.
  var isPaced: Bool { state.withLock { $0.ingestCredit != nil } }

  /// Lets puts write as they like again, with nil; true where they had to wait.
  func setIngestCredit(_ credit: Int?) -> Bool {
    state.withLock { state in
      defer { state.ingestCredit = credit }
      return state.ingestCredit.map { $0 <= 0 } ?? false
    }
  }

  /// Lets puts fill so many more bytes of frames, `limit` at most; true where they had to wait.
  func addIngestCredit(_ byteCount: Int, upTo limit: Int) -> Bool {
    state.withLock { state in
      let before = state.ingestCredit ?? limit
      state.ingestCredit = min(limit, before + byteCount)
      return before <= 0
    }
  }

  /// Lets writers try again, where that can bring them further: without a segment they would only
  /// wake the maintenance task, which woke them.
  func resumeSpaceWaiters() {
    withLog { state, actions in
      guard case .running = state.mode,
        !state.ready.isEmpty || state.isFull || state.isExhausted || state.needsRoomCheck
      else { return }
      state.needsRoomCheck = false
      resumeSpaceWaiters(&state, &actions)
    }
  }

  func poison(_ reason: String) {
    withLog { state, actions in
      if case .poisoned = state.mode { return }
      poison(reason, &state, &actions)
    }
  }

  /// The segments that wait to be sealed, oldest first.
  var finishedSegments: [FinishedSegment] { state.withLock { $0.finished } }

  /// Forgets the oldest ones, which are sealed. Where one of them has died meanwhile, that is noted
  /// at the same moment: in between, a put would be refused although a segment is about to be free.
  func dropFirstFinished(_ count: Int) {
    withLog { state, actions in
      if state.finished.prefix(count).contains(where: {
        segments.liveRecordCount(of: $0.segment) == 0
      }) {
        state.hasDeadSegments = true
        actions.needsMaintenance = true
      }
      state.finished.removeFirst(count)
    }
  }

  /// How a wait of the maintenance task ended.
  enum Settlement {
    /// Durable.
    case durable
    /// A write failed: rewrite, then wait again.
    case mustRewrite
    /// Never.
    case failed(StoreError)
  }

  /// Makes the frame durable, and with it all before it. nil takes the last frame and closes it.
  func settleForMaintenance(through wanted: UInt64?) async -> Settlement {
    let error: StoreError? = await suspend { waiter in
      withLog { state, actions in
        if wanted == nil, case .running = state.mode { closeOpenFrame(&state) }
        let identifier = min(wanted ?? UInt64.max, state.frames.last?.identifier ?? 0)
        if case .poisoned(let error) = state.mode {
          actions.resumptions.append((waiter, error))
        } else if identifier <= state.durableFrameIdentifier {
          actions.resumptions.append((waiter, nil))
        } else if case .rewriting = state.mode, state.submittedCount == 0 {
          actions.resumptions.append((waiter, LogAppender.rewriteFirst))
        } else {
          state.maintenanceWaiter = (identifier, waiter)
          if state.openFrame?.identifier == identifier { closeOpenFrame(&state) }
          if state.writtenCount > 0 { state.needsFlush = true }
        }
      }
    }
    guard let error else { return .durable }
    return error == LogAppender.rewriteFirst ? .mustRewrite : .failed(error)
  }

  static let rewriteFirst = StoreError(.io, "a write failed and its records have to move")

  /// Whether segments may have died that nobody has looked for yet.
  var hasDeadSegments: Bool { state.withLock { $0.hasDeadSegments } }

  /// Whether segments may have died since the last call.
  func takeDeadSegmentsFlag() -> Bool {
    state.withLock { state in
      defer { state.hasDeadSegments = false }
      if state.hasDeadSegments { state.isFreeing = true }
      return state.hasDeadSegments
    }
  }

  func noteDeadSegment() {
    withLog { state, actions in
      state.hasDeadSegments = true
      actions.needsMaintenance = true
    }
  }

  /// Where a checkpoint that begins now lets the log be replayed from.
  func beginCheckpoint() -> CheckpointPosition? {
    state.withLock { state in
      guard let current = state.current else { return nil }
      let page = state.openFrame?.pageInSegment ?? current.nextPage
      let position = CheckpointPosition(
        cutSequence: state.lastSequence, segment: current.segment,
        generation: current.generation, pageCount: PageCount(UInt32(page)),
        unusedSegments: state.ready.map(\.segment),
        recordCount: state.recordCountSinceCheckpoint)
      return position
    }
  }

  /// A checkpoint counts from now on: what was to be replayed when it began is not any more.
  func noteCheckpoint(at position: CheckpointPosition) {
    state.withLock { $0.recordCountSinceCheckpoint -= position.recordCount }
  }

  /// There is no checkpoint any more: so many records have to be replayed besides.
  func noteCheckpointDropped(recordCount: Int) {
    state.withLock { $0.recordCountSinceCheckpoint += recordCount }
  }

  /// Copies are replayed, too.
  func noteRelocated(recordCount: Int) {
    state.withLock { $0.recordCountSinceCheckpoint += recordCount }
  }

  var recordCountSinceCheckpoint: Int { state.withLock { $0.recordCountSinceCheckpoint } }

  /// Writes out what an idle log holds, or the watermark frame that witnesses its last commit.
  func quiet(ifActivityCountIs count: UInt64) {
    withLog { state, actions in
      guard state.activityCount == count, state.hasQuietWork else { return }
      if state.openFrame != nil {
        closeOpenFrame(&state)
      } else {
        writeWatermark(&state, &actions)
      }
    }
  }

  /// Where the segment has no room left, the next one begins with the watermark, or the last frame
  /// would have no witness until somebody writes again.
  private func writeWatermark(_ state: inout LogState, _ actions: inout LogActions) {
    guard let current = state.current else { return }
    let hasRoom = current.hasRoom(
      endPage: current.nextPage + 1, additionalRecordCount: 0, in: geometry)
    let isReserve = hasRoom ? current.isReserve : state.ready.first?.isReserve ?? false
    guard !isReserve, !state.isFull else {
      // A full store keeps its last pages for deletes: the next frame is the witness.
      state.watermarkWritten = state.durableSequence
      return
    }
    if !hasRoom {
      actions.needsMaintenance = true
      // Without a segment that is ready it is tried again at the next tick.
      guard let next = state.ready.first else { return }
      state.ready.removeFirst()
      enter(next, &state)
    }
    guard openFrame(pageCount: 1, .durable, &state) != nil else { return }
    closeOpenFrame(&state)
  }

  /// Lets go of the frames that a poisoned or dropped store will never write, and of their memory.
  /// The device has been closed.
  func releaseFrames() {
    state.withLock { state in
      state.frames = []
      state.writtenCount = 0
      state.freeBuffers = []
    }
  }

  /// Ends the log: nothing is appended any more, and who waits for room is told.
  ///
  /// - Returns: nil where a write that had been accepted before the store began to close has come
  ///   in meanwhile and is not durable yet: settle and ask again.
  func close() -> LogEnd? {
    withLog { state, actions in
      if case .poisoned = state.mode {
      } else if !state.frames.isEmpty {
        return nil
      } else {
        state.mode = .closed
      }
      for item in state.spaceWaiters { actions.resumptions.append((item.waiter, .closedStore)) }
      state.spaceWaiters = []
      return LogEnd(
        lastSequence: state.lastSequence, segment: state.current?.segment,
        lastFramePage: state.current?.lastFramePage ?? 0,
        lastFrameChecksum: state.current?.chainChecksum ?? 0)
    }
  }
}

/// Where a checkpoint begins.
struct CheckpointPosition {
  var cutSequence: SequenceNumber
  var segment: SegmentIndex
  var generation: Generation
  var pageCount: PageCount
  /// Segments that are open in the table but have no frames yet.
  var unusedSegments: [SegmentIndex]
  /// Records that an open would have to replay until then.
  var recordCount: Int
}

/// Where the log ends.
struct LogEnd {
  var lastSequence: SequenceNumber
  var segment: SegmentIndex?
  /// The last frame, in pages from the segment's first; 0 where the segment has none.
  var lastFramePage: Int
  var lastFrameChecksum: UInt32
}
