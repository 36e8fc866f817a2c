// Copying, writing and what follows once copies are durable.

import Logging
import VarveFormat
import VarveIO

extension Compactor {
  private var sealContext: SealContext {
    SealContext(
      uuid: log.uuid, geometry: geometry, durableSequence: log.durableSequence,
      clockMilliseconds: log.clock.stampMilliseconds, openEpoch: openEpoch)
  }

  /// Copies a step into frames and begins to write them; false where no segment was free for all of
  /// it. The rest waits for one.
  func place(_ step: RelocationBatch) async throws(IOError) {
    var batch = step
    let isComplete = try await copy(&batch)
    if batch.hasDamage { setAside(batch.victim) }
    beginWrite(&batch, isComplete: isComplete)
    unplaced = isComplete ? nil : batch
    if isComplete { readBuffers.giveBack(batch.buffer) }
    isStuck = !isComplete
  }

  private func copy(_ batch: inout RelocationBatch) async throws(IOError) -> Bool {
    guard let position = outputs.firstIndex(where: { $0.stream == batch.stream }) else {
      preconditionFailure("a step goes to a stream that compaction fills")
    }
    let seal = sealContext
    let source = (segment: batch.victim, generation: batch.generation)
    // One stays back for records whose write fails, but rather none than a victim half moved: it is
    // freed as soon as the rest has found a place.
    var leftCount = 1
    while !batch.copy(
      into: &outputs[position], seal, hashKey: hashKey, log.clock, buffers: frameBuffers,
      isLive: { isLive($0, in: source) })
    {
      if let spare = spares.removeValue(forKey: batch.stream) {
        outputs[position].enter(spare, seal)
        continue
      }
      guard ledger.free.count > leftCount, let free = await ledger.takeFree() else { return false }
      leftCount = 0
      let opened = try await ledger.open([free], stream: batch.stream)
      log.segments.setBufferedFloor(.max, of: free)
      outputs[position].enter(opened[0], seal)
    }
    return true
  }

  /// Whether the index still names a record.
  ///
  /// DURABILITY: a location names one record in one use of its segment only. A victim whose records
  /// have all died meanwhile is freed and used again, and a newer version of the very key may come
  /// to lie at the very place. Segments are opened by the maintenance task alone, so that the
  /// answer holds until it waits for something.
  private func isLive(
    _ record: SummaryEntry, in source: (segment: SegmentIndex, generation: Generation)
  ) -> Bool {
    isSameUse(source) && log.index.names(record)
  }

  private func isSameUse(_ source: (segment: SegmentIndex, generation: Generation)) -> Bool {
    ledger[source.segment].generation == source.generation
      || PlantedBug.generationIgnored.isPlanted
  }

  private func beginWrite(_ batch: inout RelocationBatch, isComplete: Bool) {
    let seal = sealContext
    var frames: [RelocationFrame] = []
    var ends: [(segment: SegmentIndex, pageCount: Int)] = []
    for position in outputs.indices {
      outputs[position].closeFrame(seal)
      frames += outputs[position].takeClosed()
      ends += outputs[position].unflushedEnds
    }
    let byteCount = frames.reduce(0) { $0 + $1.pageCount * Limits.pageByteCount }
    log.counters.add(log.counters.relocationBytes, byteCount)
    rateLimit?.spend(byteCount)
    let isLast = isComplete && batch.isLast
    let wonByteCount = Int(Double(batch.takePageCountDone() * Limits.pageByteCount) * batch.yield)
    writes.append(
      RelocationWrite(
        frames: frames, moves: batch.takeMoves(), source: (batch.victim, batch.generation),
        ends: ends,
        finishedVictim: isLast ? batch.victim : nil,
        wonByteCount: wonByteCount,
        step: BackgroundStep(on: thread, wake: log.maintenance) { [device, frames] in
          frames.isEmpty ? .durable : await RelocationWrite.write(frames, to: device)
        }))
  }

  /// Lets the copies count that have become durable.
  func complete(
    _ write: RelocationWrite, _ result: RelocationWrite.Result
  ) async throws(IOError) {
    switch result {
    case .flushFailed(let error): throw error
    case .writeFailed(let error): return try await abandonOutputs(error)
    case .durable: break
    }
    for (segment, pageCount) in write.ends {
      for position in outputs.indices {
        outputs[position].noteFlushed(segment, through: pageCount)
      }
    }
    for frame in write.frames {
      if let buffer = frame.takeBuffer() { frameBuffers.giveBack(buffer) }
    }
    swing(write)
    wonByteCount += write.wonByteCount
    log.counters.add(log.counters.reclaimedBytes, write.wonByteCount)
    if let victim = write.finishedVictim {
      busyVictims.remove(victim)
      if log.segments.liveByteCount(of: victim) > 0 { exhausted.insert(victim) }
      log.counters.add(log.counters.compactedSegments)
      if PlantedBug.unreadableFreed.isPlanted, ledger[victim].state == .sealed {
        try await ledger.turnOver(SegmentTurnover(freed: [victim]))
      }
    }
  }

  /// Lets the index name the copies, where it still names the originals.
  private func swing(_ write: RelocationWrite) {
    let isSameUse = isSameUse(write.source)
    var hasDead = false
    for move in write.moves {
      // Counted first: the copy may be superseded and counted dead as soon as it is named.
      log.segments.addLive(move.new)
      let old = expected(of: move)
      if isSameUse, log.index.replace(move.hash, expected: old.rawValue, with: move.new.rawValue) {
        log.segments.noteIndexed(move.new, insteadOf: old)
        rename(move)
        if log.segments.removeLive(old) { hasDead = true }
      } else if log.segments.removeLive(move.new) {
        hasDead = true
      }
    }
    log.counters.add(log.counters.relocatedRecords, write.moves.count)
    if hasDead { log.noteDeadSegment() }
  }

  /// What the index has to name for a copy to take its place: the original and nothing else.
  private func expected(of move: Move) -> RecordLocation {
    let isMistaken =
      PlantedBug.swingsBlindly.isPlanted
      || PlantedBug.expiresBlindly.isPlanted && move.new.isTombstone && !move.old.isTombstone
    guard isMistaken || PlantedBug.pageForRecord.isPlanted else { return move.old }
    let current = RecordLocation(rawValue: log.index.find(move.hash))
    return current != .none && (isMistaken || current.page == move.old.page) ? current : move.old
  }

  private func rename(_ move: Move) {
    guard let old = geometry.segment(containing: move.old.page),
      let new = geometry.segment(containing: move.new.page)
    else { return }
    cache.rename(
      move.old.rawValue, generation: ledger[old].generation.rawValue,
      to: move.new.rawValue, generation: ledger[new].generation.rawValue)
  }

  /// The segments of relocated records that are full and flushed: they can be sealed.
  func takeFinished() -> [FinishedSegment] {
    var finished: [FinishedSegment] = []
    for position in outputs.indices { finished += outputs[position].takeFinished() }
    return finished
  }

  /// Completes what is being written, gives up what is not, and ends the segments that are being
  /// filled, for a clean shutdown.
  func finish() async throws(IOError) {
    unplaced = nil
    victim = nil
    for read in reads { _ = await read.step.finished() }
    reads = []
    while let write = writes.first {
      let result = await write.step.finished()
      writes.removeFirst()
      try await complete(write, result)
    }
    busyVictims = []
    for position in outputs.indices { outputs[position].finishSegment(isFull: false) }
  }

  /// Gives up the segments that were opened and not used.
  func takeUnused() -> [SegmentIndex] {
    defer { spares = [:] }
    return spares.values.map(\.segment).sorted { $0.rawValue < $1.rawValue }
  }

  /// What a failed write leaves: the segments of the outputs are sealed where they were flushed, so
  /// that nothing behind counts, and what was copied is copied again elsewhere.
  private func abandonOutputs(_ failure: IOError) async throws(IOError) {
    failureCount += 1
    log.health.logger.error(
      "a write of compaction failed; it goes elsewhere", metadata: ["error": "\(failure)"])
    if isGivenUp {
      log.health.logger.critical("compaction is given up: writes failed in too many places")
    }
    await stop()
    if let error = await device.flush() { throw error }
    var changes: [(SegmentIndex, SegmentEntry)] = []
    for position in outputs.indices {
      for (segment, endPageCount) in outputs[position].abandonSegments() {
        var entry = ledger[segment]
        entry.state = .sealed
        entry.hasSummary = false
        entry.endPageCount = endPageCount
        changes.append((segment, entry))
        log.health.report(.segmentRetired(segment: Int(segment.rawValue)))
      }
    }
    try await ledger.update(changes)
    log.noteDeadSegment()
  }
}
