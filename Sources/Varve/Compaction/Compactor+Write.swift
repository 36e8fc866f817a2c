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

  /// Copies a step into frames and begins to write them.
  ///
  /// - Returns: false where no segment was free for all of it. The rest waits for what is being
  ///   written, which may free one; if nothing is, everything is given up until one is free.
  func place(_ step: RelocationBatch) async throws(IOError) -> Bool {
    var batch = step
    let isComplete = try await copy(&batch)
    if batch.hasDamage { setAside(batch.victim) }
    if isComplete || batch.hasMoves { beginWrite(&batch, isComplete: isComplete) }
    unplaced = isComplete ? nil : batch
    if isComplete { readBuffers.giveBack(batch.buffer) }
    if !isComplete, writes.isEmpty {
      isStuck = true
      await giveUpReads()
      releaseVictims()
    }
    return isComplete
  }

  private func copy(_ batch: inout RelocationBatch) async throws(IOError) -> Bool {
    guard let position = outputs.firstIndex(where: { $0.stream == batch.stream }) else {
      preconditionFailure("a step goes to a stream that compaction fills")
    }
    let seal = sealContext
    while !batch.copy(
      into: &outputs[position], seal, hashKey: hashKey, log.clock, buffers: frameBuffers,
      isLive: log.index.names)
    {
      if let spare = spares.removeValue(forKey: batch.stream) {
        outputs[position].enter(spare, seal)
        continue
      }
      // One stays back for records whose write fails, as long as anything else can free one: where
      // nothing is being written, taking the last is the only way out, and what is moved into it
      // leaves room, so that its victim is freed.
      let leftCount = writes.isEmpty ? 0 : 1
      guard ledger.free.count > leftCount, let free = await ledger.takeFree() else { return false }
      let opened = try await ledger.open([free], stream: batch.stream)
      log.segments.setBufferedFloor(.max, of: free)
      outputs[position].enter(opened[0], seal)
    }
    return true
  }

  private func beginWrite(_ batch: inout RelocationBatch, isComplete: Bool) {
    let seal = sealContext
    var frames: [RelocationFrame] = []
    var ends: [OutputEnd] = []
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
        victim: batch.victim, frames: frames, moves: batch.takeMoves(), ends: ends,
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
    for end in write.ends {
      for position in outputs.indices { outputs[position].noteFlushed(end) }
    }
    for frame in write.frames {
      if let buffer = frame.takeBuffer() { frameBuffers.giveBack(buffer) }
    }
    swing(write.moves)
    wonByteCount += write.wonByteCount
    log.counters.add(log.counters.reclaimedBytes, write.wonByteCount)
    releaseDamagedVictims()
    if let victim = write.finishedVictim {
      if log.segments.liveByteCount(of: victim) > 0, !unmovable.contains(victim) {
        undead[victim] = log.durableSequence
      }
      release(victim)
      log.counters.add(log.counters.compactedSegments)
      if PlantedBug.unreadableFreed.isPlanted, ledger[victim].state == .sealed {
        try await ledger.turnOver(SegmentTurnover(freed: [victim]))
      }
    }
  }

  /// Lets the index name the copies, where it still names the originals.
  private func swing(_ moves: [Move]) {
    var hasDead = false
    for move in moves {
      // Counted first: the copy may be superseded and counted dead as soon as it is named.
      log.segments.addLive(move.new)
      let old = expected(of: move)
      if log.index.replace(move.hash, expected: old.rawValue, with: move.new.rawValue) {
        log.segments.noteIndexed(move.new, insteadOf: old)
        rename(move)
        if log.segments.removeLive(old) { hasDead = true }
      } else if log.segments.removeLive(move.new) {
        hasDead = true
      }
    }
    log.counters.add(log.counters.relocatedRecords, moves.count)
    log.noteRelocated(recordCount: moves.count)
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
    await giveUpReads()
    while let write = writes.first {
      let result = await write.step.finished()
      writes.removeFirst()
      try await complete(write, result)
    }
    releaseVictims()
    for position in outputs.indices { outputs[position].finishSegment(isFull: false) }
  }

  /// Gives up the segments that were opened and not used.
  func takeUnused() -> [SegmentIndex] {
    defer { spares = [:] }
    return spares.values.map(\.segment).sorted { $0.rawValue < $1.rawValue }
  }

  /// What a failed write leaves: the segments of the outputs are sealed where they were flushed, so
  /// that nothing behind counts, and what was copied is copied again elsewhere.
  ///
  /// DURABILITY: the flush covers the writes that succeeded beside the one that failed; none of
  /// those counts, since the index names the originals still, whose victims are not freed. The
  /// table then says where each output ends, so that a recovery neither misses what is behind nor
  /// takes it for damage.
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
        ledger.noteFailure(of: segment)
        log.health.report(.segmentRetired(segment: Int(segment.rawValue)))
      }
    }
    try await ledger.update(changes)
    isStuck = false
    log.noteDeadSegment()
  }
}
