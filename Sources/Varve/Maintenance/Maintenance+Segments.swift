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

  /// Seals what the log has finished, all of it together: a busy log finishes segments faster than
  /// one after the other could be flushed.
  ///
  /// DURABILITY: flush of all frames, then the summaries, then their flush, then the table: the
  /// table never calls a segment sealed whose frames a crash could still lose.
  func sealFinishedSegments() async throws(IOError) {
    while let last = log.finishedSegments.last {
      if try await settle(through: last.lastFrameIdentifier) != nil { return }
      // A write may have failed meanwhile and the frames moved away.
      let finished = log.finishedSegments.prefix {
        $0.lastFrameIdentifier <= last.lastFrameIdentifier
      }
      guard finished.last?.segment == last.segment,
        finished.last?.lastFrameIdentifier == last.lastFrameIdentifier
      else { return }
      try await seal(Array(finished))
      log.dropFirstFinished(finished.count)
    }
  }

  /// Seals segments whose frames have been flushed.
  func seal(_ finished: [FinishedSegment]) async throws(IOError) {
    guard !finished.isEmpty else { return }
    var changes: [(SegmentIndex, SegmentEntry)] = []
    for segment in finished {
      try await provideSegments()
      changes.append((segment.segment, await sealedEntry(of: segment)))
    }
    if let error = await device.flush() { throw error }
    try await updateTable(changes)
    turnoverCount += finished.count
  }

  /// Writes the summary of a finished segment and returns what the table will say of it.
  private func sealedEntry(of finished: FinishedSegment) async -> SegmentEntry {
    var entry = table[finished.segment]
    entry.state = .sealed
    entry.endPageCount = finished.endPageCount
    entry.fill =
      finished.isPacked
      ? SegmentEntry.fill(
        packedByteCount: segments.liveByteCount(of: finished.segment),
        pageCount: finished.endPageCount)
      : 0
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
      try await freeAll(
        (userOrder + relocationSegments).filter { segment in
          table[segment].state == .sealed && isEmpty(segment)
            && segments.liveTombstoneCount(of: segment) == 0
        })
    }
  }

  private func isEmpty(_ segment: SegmentIndex) -> Bool {
    segments.liveRecordCount(of: segment) == 0 && !segments.isPinned(segment)
  }

  func freeAll(_ dead: [SegmentIndex]) async throws(IOError) {
    guard !dead.isEmpty else { return }
    var changes = dead.map { segment in
      (segment, SegmentEntry(state: .free, generation: table[segment].generation))
    }
    // DURABILITY: from here on copies are all that is left of what lay there. The same write says
    // how far their open segments have been flushed, so that a loss in them is never taken for the
    // end of a compaction that a crash interrupted.
    for output in outputs {
      guard let current = output.current, output.flushedPageCount > 0 else { continue }
      var entry = table[current.segment]
      entry.endPageCount = PageCount(UInt32(output.flushedPageCount))
      changes.append((current.segment, entry))
    }
    try await updateTable(changes)
    let freed = Set(dead)
    userOrder.removeAll { freed.contains($0) }
    relocationSegments.removeAll { freed.contains($0) }
    unmovable.subtract(freed)
    for segment in dead { beginSequences[segment] = nil }
    // Oldest last to be reused: wear is spread, and leftovers stay readable for inspection.
    freeSegments.insert(contentsOf: dead.reversed(), at: 0)
    publishFreeCount()
    discards?.add(dead)
    counters.add(counters.freedSegments, dead.count)
    turnoverCount += dead.count
    isCompactionStuck = false
  }

  /// Waits until a frame is durable, nil for all that was appended, rewriting what fails meanwhile.
  func settle(through identifier: UInt64?) async throws(IOError) -> StoreError? {
    while true {
      switch await log.settleForMaintenance(through: identifier) {
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
      try await updateTable([
        (segment, SegmentEntry(state: .free, generation: table[segment].generation))
      ])
    }
    // DURABILITY: the end of the retired range is durable before its records are written anew.
    if plan.endPageCount.rawValue > 0 {
      var entry = table[plan.segment]
      entry.state = .sealed
      entry.hasSummary = false
      entry.endPageCount = plan.endPageCount
      try await updateTable([(plan.segment, entry)])
    }
    userOrder.removeAll { plan.abandoned.contains($0) }
    var targets = log.takeReady()
    let pagesPerSegment = max(
      1, Int(superblock.geometry.framePageLimit(summaryPages: PageCount(1)).rawValue) / 2)
    while targets.count < 1 + plan.pageCount / pagesPerSegment, let free = await takeFreeSegment() {
      let generation = try await openSegment(
        free, stream: .user, predecessor: userOrder.last ?? .none)
      userOrder.append(free)
      targets.append(
        PreparedSegment(segment: free, generation: generation, isReserve: false))
    }
    rewriteCount += 1
    guard rewriteCount <= Maintenance.maximumRewriteCount else {
      return log.poison("writes failed in \(rewriteCount) places, one after the other")
    }
    let unused = log.moveFrames(plan, hashKey: hashKey, into: targets)
    freeSegments.insert(contentsOf: plan.abandoned, at: 0)
    publishFreeCount()
    health.report(.segmentRetired(segment: Int(plan.segment.rawValue)))
    if let unused {
      try await freeAll(unused.map(\.segment))
    } else {
      health.logger.critical("records whose write failed found no place")
    }
  }
}
