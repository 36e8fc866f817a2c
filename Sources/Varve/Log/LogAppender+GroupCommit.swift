// Group commit. Writers that ask for `written` or `durable` while a commit is in flight gather in
// the open frame and go together in the next; a writer alone goes at once and waits for no timer.
// A second commit is submitted beside the first only when half a frame has gathered: smaller ones
// cost more than they gain (measured; DESIGN.md).

import Logging
import Synchronization
import VarveFormat
import VarveIO

/// The flush of the log's frames.
///
/// SAFETY: nothing in it changes.
final class LogFlush: IORequest, @unchecked Sendable {
  private let log: LogAppender
  private let covers: UInt64

  init(log: LogAppender, covers: UInt64) {
    self.log = log
    self.covers = covers
    unsafe super.init(operation: .flush)
  }

  override func complete(_ error: IOError?) { log.flushCompleted(covers: covers, error) }
}

extension LogAppender {
  /// Adds a writer to the frame that it waits for; acknowledges at once what is so already.
  func register(
    _ waiter: WriteWaiter, for frame: LogFrame, level: Durability, _ state: inout LogState,
    _ actions: inout LogActions
  ) {
    if case .poisoned(let error) = state.mode, frame.identifier > state.durableFrameIdentifier {
      actions.resumptions.append((waiter, error))
      return
    }
    switch level {
    case .buffered: actions.resumptions.append((waiter, nil))
    case .written:
      if frame.state == .written, isInWrittenPrefix(frame, state) {
        actions.resumptions.append((waiter, nil))
      } else {
        frame.writtenWaiters.append(waiter)
      }
    case .durable:
      if frame.identifier <= state.durableFrameIdentifier {
        actions.resumptions.append((waiter, nil))
      } else {
        frame.durableWaiters.append(waiter)
        if frame.state == .written, isInWrittenPrefix(frame, state) { state.needsFlush = true }
      }
    }
  }

  private func isInWrittenPrefix(_ frame: LogFrame, _ state: LogState) -> Bool {
    if frame.identifier <= state.durableFrameIdentifier { return true }
    return state.frames.prefix(state.writtenCount).contains { $0 === frame }
  }

  /// Decides what goes to the device now.
  func pump(_ state: inout LogState, _ actions: inout LogActions) {
    guard case .running = state.mode else { return }
    // DURABILITY: the flush is submitted after the completions of all frames that it covers were
    // seen, and covers only frames without a gap before them. A frame that completes while a flush
    // is in flight waits for the next.
    if state.needsFlush, state.flushCovers == nil, state.writtenCount > 0 {
      state.needsFlush = false
      state.flushCovers = state.frames[state.writtenCount - 1].identifier
      actions.flushCovers = state.flushCovers
      counters.add(counters.flushes)
    }
    // A commit whose frame was written just now is still in flight, by the flush above.
    if let frame = state.openFrame, frame.hasWaiters,
      !state.hasCommitInFlight || frame.pageCount * 2 >= LogAppender.framePageCount
    {
      closeOpenFrame(&state)
    }
    if state.closedCount > 0 { submitClosedFrames(&state, &actions) }
  }

  private func submitClosedFrames(_ state: inout LogState, _ actions: inout LogActions) {
    for frame in state.frames[state.writtenCount...] where frame.state == .closed {
      guard state.submittedCount < LogAppender.maximumSubmittedCount else { break }
      frame.state = .submitted
      frame.isCommit = frame.hasWaiters
      state.closedCount -= 1
      state.submittedCount += 1
      if frame.isCommit { state.unwrittenCommitCount += 1 }
      actions.submissions.append(frame)
    }
  }

  /// Does what was decided under the lock.
  private func perform(_ actions: LogActions) {
    if actions.writeFailure != nil || actions.poisonReason != nil { report(actions) }
    for frame in actions.submissions { device.submit(frame) }
    if let covers = actions.flushCovers { device.submit(LogFlush(log: self, covers: covers)) }
    for resumption in actions.resumptions { resumption.waiter.resume(resumption.error) }
    if actions.needsMaintenance
      || actions.hasQuietWork && !isTimerArmed.load(ordering: .sequentiallyConsistent)
    {
      maintenance.raise()
    }
  }

  private func report(_ actions: LogActions) {
    if let error = actions.writeFailure {
      health.logger.error(
        "a write of the log failed; its records go elsewhere", metadata: ["error": "\(error)"])
    }
    if let reason = actions.poisonReason {
      health.logger.critical("the store is poisoned", metadata: ["reason": "\(reason)"])
      health.setPoisoned()
    }
  }

  /// Runs `body` under the lock, then pumps, then does what came of it.
  func withLog<R>(_ body: (inout LogState, inout LogActions) -> R) -> R {
    var actions = LogActions()
    let result = state.withLock { state in
      let result = body(&state, &actions)
      pump(&state, &actions)
      actions.hasQuietWork = state.hasQuietWork
      return result
    }
    perform(actions)
    return result
  }

  /// A frame's write has come back.
  func writeCompleted(_ frame: LogFrame, _ error: IOError?) {
    withLog { state, actions in
      state.submittedCount -= 1
      if case .poisoned = state.mode { return }
      if let error {
        actions.writeFailure = error
        frame.state = .failed
        state.mode = .rewriting
      } else {
        frame.state = .written
      }
      acknowledgeWritten(&state, &actions)
      if case .rewriting = state.mode, state.submittedCount == 0 {
        actions.needsMaintenance = true
        resumeMaintenance(LogAppender.rewriteFirst, &state, &actions)
      }
    }
  }

  /// Acknowledges in stream order: a frame counts as written once all before it do.
  private func acknowledgeWritten(_ state: inout LogState, _ actions: inout LogActions) {
    while state.writtenCount < state.frames.count {
      let frame = state.frames[state.writtenCount]
      guard frame.state == .written else { break }
      state.writtenCount += 1
      if frame.isCommit { state.unwrittenCommitCount -= 1 }
      for waiter in frame.writtenWaiters { actions.resumptions.append((waiter, nil)) }
      frame.writtenWaiters = []
      if !frame.durableWaiters.isEmpty || state.maintenanceWaiter != nil {
        state.needsFlush = true
      }
      segments.setBufferedFloor(
        frame.segment == state.current?.segment || hasLaterFrame(of: frame, state)
          ? UInt32(frame.pageInSegment + frame.pageCount) : UInt32.max, of: frame.segment)
      recycle(frame, &state)
    }
    resumeSpaceWaiters(&state, &actions)
  }

  private func hasLaterFrame(of frame: LogFrame, _ state: LogState) -> Bool {
    state.frames[state.writtenCount...].contains { $0.segment == frame.segment }
  }

  /// A flush has come back.
  func flushCompleted(covers: UInt64, _ error: IOError?) {
    withLog { state, actions in
      state.flushCovers = nil
      if let error {
        poison("a flush failed: \(error)", &state, &actions)
        return
      }
      markDurable(through: covers, &state, &actions)
    }
  }

  /// Acknowledges the frames that a successful flush covered.
  func markDurable(
    through covers: UInt64, _ state: inout LogState, _ actions: inout LogActions
  ) {
    var durableCount = 0
    for frame in state.frames.prefix(state.writtenCount) where frame.identifier <= covers {
      durableCount += 1
      state.durableFrameIdentifier = frame.identifier
      if frame.lastSequence > state.durableSequence { state.durableSequence = frame.lastSequence }
      for waiter in frame.durableWaiters { actions.resumptions.append((waiter, nil)) }
      frame.durableWaiters = []
      // DURABILITY: only now do the superseded records count as dead, so that a durable version is
      // never reclaimed for one that a crash can still lose.
      for location in frame.superseded where segments.removeLive(location) {
        state.hasDeadSegments = true
        actions.needsMaintenance = true
      }
      frame.superseded = []
    }
    state.frames.removeFirst(durableCount)
    state.writtenCount -= durableCount
    if let waiting = state.maintenanceWaiter {
      if waiting.identifier <= state.durableFrameIdentifier {
        resumeMaintenance(nil, &state, &actions)
      } else if state.writtenCount > 0 {
        state.needsFlush = true
      }
    }
    // Deaths that freed nothing may have been what a writer waited for.
    if !state.finished.isEmpty || !state.spaceWaiters.isEmpty { actions.needsMaintenance = true }
  }

  func resumeMaintenance(
    _ error: StoreError?, _ state: inout LogState, _ actions: inout LogActions
  ) {
    guard let waiting = state.maintenanceWaiter else { return }
    state.maintenanceWaiter = nil
    actions.resumptions.append((waiting.waiter, error))
  }

  /// Ends writing for good: what waits for durability may or may not survive.
  func poison(_ reason: String, _ state: inout LogState, _ actions: inout LogActions) {
    state.mode = .poisoned(.poisonedStore)
    let indeterminate = StoreError(
      .indeterminate,
      "\(reason); this write may or may not survive. Close the store, check the device, reopen, "
        + "and read the key to learn which")
    for frame in state.frames {
      for waiter in frame.durableWaiters + frame.writtenWaiters {
        actions.resumptions.append((waiter, indeterminate))
      }
      frame.durableWaiters = []
      frame.writtenWaiters = []
    }
    for item in state.spaceWaiters { actions.resumptions.append((item.waiter, .poisonedStore)) }
    state.spaceWaiters = []
    resumeMaintenance(.poisonedStore, &state, &actions)
    actions.needsMaintenance = true
    actions.poisonReason = reason
  }

  func resumeSpaceWaiters(_ state: inout LogState, _ actions: inout LogActions) {
    guard !state.spaceWaiters.isEmpty else { return }
    var waiting: [SpaceWaiter] = []
    for item in state.spaceWaiters {
      if state.isWorthTrying(item.reason) {
        actions.resumptions.append((item.waiter, nil))
      } else {
        waiting.append(item)
      }
    }
    state.spaceWaiters = waiting
  }

  /// Suspends until space may have come back, or returns the reason why it never will. Nothing is
  /// queued yet, so a cancelled task leaves at once. Waits for what `Maintenance` provides are
  /// measured: two looks at a clock are nothing beside a suspension.
  func waitForSpace(_ reason: WaitReason) async -> StoreError? {
    if case .memory = reason { return await suspendForSpace(reason) }
    let start = clock.monotonicNanoseconds()
    defer {
      counters.add(counters.spaceWaits)
      counters.add(
        counters.spaceWaitNanoseconds, Int(clamping: clock.monotonicNanoseconds() &- start))
    }
    return await suspendForSpace(reason)
  }

  private func suspendForSpace(_ reason: WaitReason) async -> StoreError? {
    let token = state.withLock { state in
      defer { state.nextSpaceToken += 1 }
      return state.nextSpaceToken
    }
    return await withTaskCancellationHandler {
      await suspend { waiter in waitForSpace(reason, token: token, waiter) }
    } onCancel: {
      let waiter: WriteWaiter? = state.withLock { state in
        guard let position = state.spaceWaiters.firstIndex(where: { $0.token == token }) else {
          return nil
        }
        return state.spaceWaiters.remove(at: position).waiter
      }
      waiter?.resume(.cancelledTask)
    }
  }

  private func waitForSpace(_ reason: WaitReason, token: UInt64, _ waiter: WriteWaiter) {
    withLog { state, actions in
      switch state.mode {
      case .poisoned(let error): actions.resumptions.append((waiter, error))
      case .closed: actions.resumptions.append((waiter, .closedStore))
      // The handler of a cancellation that came before this point has found no waiter.
      case _ where Task.isCancelled: actions.resumptions.append((waiter, .cancelledTask))
      case .running where state.isOver(reason, byteLimit: bufferByteLimit / 4 * 3):
        // It came back between the attempt and this wait.
        actions.resumptions.append((waiter, nil))
      case .running, .rewriting:
        // What holds the memory goes to the device, or nothing would ever come back.
        if case .running = state.mode { closeOpenFrame(&state) }
        state.spaceWaiters.append(SpaceWaiter(token: token, reason: reason, waiter: waiter))
        if case .memory = reason {} else { actions.needsMaintenance = true }
      }
    }
  }

  /// Brings everything appended so far to the given level.
  func settle() async -> StoreError? {
    await suspend { waiter in
      withLog { state, actions in
        closeOpenFrame(&state)
        guard let last = state.frames.last else {
          if case .poisoned(let error) = state.mode {
            actions.resumptions.append((waiter, error))
          } else {
            actions.resumptions.append((waiter, nil))
          }
          return
        }
        register(waiter, for: last, level: .durable, &state, &actions)
      }
    }
  }
}
