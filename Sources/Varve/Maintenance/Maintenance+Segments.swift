// Sealing and freeing segments.

import Logging
import Synchronization
import VarveFormat
import VarveIO

extension Maintenance {
  private var sealer: SegmentSealer {
    SegmentSealer(
      device: device, geometry: superblock.geometry, uuid: superblock.uuid,
      checksum: Checksum(uuid: superblock.uuid))
  }

  /// Seals what the log and compaction have finished, all of it together: a busy store finishes
  /// segments faster than one after the other could be flushed.
  ///
  /// DURABILITY: flush of all frames, then the summaries, then their flush, then the table: the
  /// table never calls a segment sealed whose frames a crash could still lose.
  func sealFinishedSegments() async throws(IOError) {
    while let last = log.finishedSegments.last {
      let identifier = last.lastFrameIdentifier
      if try await settle(through: identifier) != nil { return }
      // A write may have failed meanwhile and the frames moved away.
      let finished = log.finishedSegments.prefix {
        $0.lastFrameIdentifier <= last.lastFrameIdentifier
      }
      guard finished.last?.segment == last.segment,
        finished.last?.lastFrameIdentifier == last.lastFrameIdentifier
      else { return }
      try await seal(Array(finished) + compactor.takeFinished())
      log.dropFirstFinished(finished.count)
    }
    try await seal(compactor.takeFinished())
  }

  /// Seals segments whose frames have been flushed; with the same write of the table what has died
  /// is freed, and what the log and compaction will want is opened.
  func seal(_ finished: [FinishedSegment]) async throws(IOError) {
    guard !finished.isEmpty else { return }
    var changes: [(SegmentIndex, SegmentEntry)] = []
    for segment in finished {
      try await provideSegments()
      changes.append((segment.segment, await sealedEntry(of: segment)))
    }
    if let error = try await meanwhile({ [device] in await device.flush() }) { throw error }
    try await turnOver(sealed: changes, freed: log.takeDeadSegmentsFlag() ? ledger.dead : [])
  }

  /// Changes the table, and tells those who keep something of what is freed or wait for what is
  /// opened.
  func turnOver(
    sealed: [(SegmentIndex, SegmentEntry)] = [], freed dead: [SegmentIndex]
  ) async throws(IOError) {
    guard !sealed.isEmpty || !dead.isEmpty else { return }
    let opensAhead = !isClosing && ledger.headroom > 2
    let forLog = opensAhead ? await takeSegmentsForLog() : []
    let spares = opensAhead ? compactor.takeSpares(leaving: 1) : []
    let opened = try await ledger.turnOver(
      SegmentTurnover(
        sealed: sealed, freed: dead, flushed: compactor.flushedOutputs,
        opened: forLog.map { ($0, .user) } + spares))
    // What has died in them before they were sealed is noticed by nobody else.
    if sealed.contains(where: { segments.liveByteCount(of: $0.0) == 0 }) { log.noteDeadSegment() }
    if !forLog.isEmpty { log.provide(Array(opened.prefix(forLog.count))) }
    for (spare, stream) in zip(opened.dropFirst(forLog.count), spares.map(\.1)) {
      compactor.provide(spare, for: stream)
    }
    if !dead.isEmpty { compactor.forget(dead) }
  }

  /// Waits for the device while compaction goes on.
  ///
  /// Nothing that writes the table is waited for so: compaction may write it.
  func meanwhile<Result: Sendable>(
    _ work: @escaping @Sendable () async -> Result
  ) async throws(IOError) -> Result {
    let step = BackgroundStep(on: thread, wake: signal, work)
    // What else the signal was raised for is looked at afterwards.
    defer { signal.raise() }
    while true {
      if let result = step.value { return result }
      await signal.wait()
      do throws(IOError) {
        try await compactor.advance(minimumYield: wantedYield)
      } catch {
        // It uses what the caller gives up next.
        _ = await step.finished()
        throw error
      }
      if pace() { log.resumeSpaceWaiters() }
      armTimer()
      // However often the signal is raised, the work itself has its turn on this thread.
      await Task.yield()
    }
  }

  /// What the records of a segment need of pages by their size classes, where that is known to be
  /// what its pages hold: compaction has filled it to its end, or the classes, which are rounded
  /// up, make more of the records than fits. Else 0.
  private func packedByteCount(of finished: FinishedSegment) -> Int {
    guard finished.packedByteCount == 0, finished.stream != .checkpoint else {
      return finished.packedByteCount
    }
    let byteCount = finished.summary.entries.reduce(0) {
      $0 + $1.location.packedByteCount(payloadPageCount: segments.payloadPageCount)
    }
    return byteCount > segments.payloadPageCount * Limits.pageByteCount ? byteCount : 0
  }

  /// Writes the summary of a finished segment and returns what the table will say of it.
  private func sealedEntry(of finished: FinishedSegment) async -> SegmentEntry {
    var entry = ledger[finished.segment]
    entry.state = .sealed
    entry.endPageCount = finished.endPageCount
    let packedByteCount = packedByteCount(of: finished)
    entry.fill =
      packedByteCount > 0
      ? SegmentEntry.fill(packedByteCount: packedByteCount, pageCount: finished.endPageCount) : 0
    entry.hasSummary = false
    do throws(IOError) {
      let byteCount = try await sealer.writeSummary(of: finished)
      counters.add(counters.metadataBytes, byteCount)
      counters.add(counters.summaryBytes, byteCount)
      entry.hasSummary = true
    } catch {
      health.logger.error("a summary was not written", metadata: ["error": "\(error)"])
    }
    return entry
  }

  /// Frees sealed segments in which nothing is live.
  ///
  /// DURABILITY: a record counts as dead only once what superseded it is durable, so nothing that
  /// a crash could bring back to life is given up. The table says "free" durably before the
  /// segment can be put to use again.
  func freeDeadSegments() async throws(IOError) {
    while log.takeDeadSegmentsFlag() {
      // A read may have let go of a free segment, too.
      compactor.isStuck = false
      try await turnOver(freed: ledger.dead)
    }
  }

  /// Waits until a frame is durable, nil for all that was appended, rewriting what fails meanwhile.
  /// Compaction goes on, unless there is none or the store is being closed.
  func settle(through identifier: UInt64?) async throws(IOError) -> StoreError? {
    while true {
      let log = log
      switch try await meanwhile({ await log.settleForMaintenance(through: identifier) }) {
      case .durable: return nil
      case .failed(let error): return error
      case .mustRewrite:
        guard let plan = log.rewritePlan() else { continue }
        try await rewrite(plan)
      }
    }
  }

  /// Moves records whose write failed to fresh segments.
  func rewrite(_ plan: LogAppender.RewritePlan) async throws(IOError) {
    if let error = await device.flush() { throw error }
    log.withLog { state, actions in
      log.markDurable(through: plan.writtenFrameIdentifier, &state, &actions)
    }
    // DURABILITY: the last first, each by itself: what a crash leaves of them hangs on a segment
    // that is still there without the frame whose write failed, and is dropped. A segment whose
    // predecessor is free would count.
    for segment in plan.abandoned.reversed() {
      try await ledger.update([
        (segment, SegmentEntry(state: .free, generation: ledger[segment].generation))
      ])
    }
    // DURABILITY: the end of the retired range is durable before its records are written anew.
    if plan.endPageCount.rawValue > 0 {
      var entry = ledger[plan.segment]
      entry.state = .sealed
      entry.hasSummary = false
      entry.endPageCount = plan.endPageCount
      try await ledger.update([(plan.segment, entry)])
    }
    ledger.forget(plan.abandoned)
    ledger.noteFailure(of: plan.segment)
    var targets = log.takeReady()
    let pagesPerSegment = max(
      1, Int(superblock.geometry.framePageLimit(summaryPages: PageCount(1)).rawValue) / 2)
    while targets.count < 1 + plan.pageCount / pagesPerSegment, let free = await ledger.takeFree() {
      targets += try await ledger.open([free], stream: .user)
    }
    rewriteCount += 1
    guard rewriteCount <= Maintenance.maximumRewriteCount else {
      return log.poison("writes failed in \(rewriteCount) places, one after the other")
    }
    let unused = log.moveFrames(plan, hashKey: hashKey, into: targets)
    ledger.putBack(plan.abandoned)
    health.report(.segmentRetired(segment: Int(plan.segment.rawValue)))
    if let unused {
      try await turnOver(freed: unused.map(\.segment))
    } else {
      health.logger.critical("records whose write failed found no place")
    }
  }
}
