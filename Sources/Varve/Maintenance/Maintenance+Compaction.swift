// Compaction: a victim's live records move to a segment of another stream, and the victim is freed
// by the code that frees every segment in which nothing is live. A step moves a few megabytes, so
// that the log is looked after in between:
//
//   choose  the segment that is worth most                        (Compaction/VictimPolicy)
//   look    which of its records the index still names            (its summary)
//   read    their pages, and verify every checksum
//   copy    into frames of the stream's open segment              (Compaction/RelocationOutput)
//   write   the frames, flush
//   swing   the index entries that have not changed meanwhile
//
// DURABILITY: only sealed segments are victims, and all frames of those had been flushed, so
// nothing above the durable watermark is ever copied. The copies are flushed before the index names
// them; a record that is replaced in between keeps its new place, because the entry is compared;
// the victim is freed, durably, only once its exact count of live records is zero, which it is not
// while a record in it was superseded by one that a crash could still lose.

import Logging
import VarveFormat
import VarveIO

extension Maintenance {
  /// How badly space is needed, as the least share of a segment that a victim has to give back.
  enum MinimumYield {
    /// Nobody writes: what is half empty is put together.
    static let idle = 0.5
    /// Free segments are getting few.
    static let low = 0.125
    /// A put would be refused.
    static let high = 0.03125
  }

  /// Free segments beyond the reserve below which compaction works beside the log.
  var compactionMargin: Int { max(3, Int(superblock.geometry.segmentCount / 32)) }

  /// The yield that the state of the store asks for; nil where there is space enough.
  private var wantedYield: Double? {
    if freeSegments.count <= reserve + 1 { return MinimumYield.high }
    if freeSegments.count <= reserve + compactionMargin { return MinimumYield.low }
    return nil
  }

  /// Moves some records, if space is wanted.
  ///
  /// - Returns: whether there is more to do at once.
  func compact() async throws(IOError) -> Bool {
    guard !isCompactionGivenUp, !isCompactionStuck, !log.isPoisoned else { return false }
    return try await step(minimumYield: wantedYield)
  }

  /// Compacts until nothing is worth moving, for whoever asks.
  ///
  /// - Returns: why what was deleted before is not durable, or nil.
  func compactAll() async -> StoreError? {
    guard !log.isPoisoned else { return .poisonedStore }
    do throws(IOError) {
      if let error = try await settle(through: nil) { return error }
      turnoverAtSweep = nil
      // Others go on writing, so what is worth moving may never end: each segment has one turn.
      for _ in 0..<superblock.geometry.segmentCount {
        let before = turnoverCount
        while await sweep() { try await supplyLog() }
        var stepCount = 0
        while !isCompactionGivenUp, stepCount < maximumStepCount,
          try await step(minimumYield: MinimumYield.low)
        {
          stepCount += 1
          try await supplyLog()
          try await freeDeadSegments()
        }
        try await freeDeadSegments()
        if isCompactionStuck || isCompactionGivenUp || turnoverCount == before { break }
      }
      return nil
    } catch {
      log.poison("a compaction could not be completed: \(error)")
      return .poisonedStore
    }
  }

  /// Steps that move everything once.
  private var maximumStepCount: Int {
    let geometry = superblock.geometry
    return Int(geometry.segmentCount) * (geometry.segmentByteCount / stepByteCount + 2)
  }

  /// Lets the log write no faster than compaction makes space, once space is short: free space then
  /// stays where it is, half way between the margin and nothing, and writers wait for milliseconds
  /// rather than for a segment.
  func pace() {
    let wonByteCount = wonByteCount
    self.wonByteCount = 0
    let headroom = freeSegments.count - reserve
    guard headroom < compactionMargin, isCompacting else { return log.setIngestCredit(nil) }
    let share = 0.5 + Double(max(0, headroom)) / Double(compactionMargin)
    log.addIngestCredit(Int(Double(wonByteCount) * share))
  }

  /// Whether compaction is at work, or will be at the next turn.
  private var isCompacting: Bool {
    guard !isCompactionGivenUp, !isCompactionStuck else { return false }
    return relocation != nil || prefetch != nil
      || wantedYield.map { chooseVictim(minimumYield: $0) != nil } ?? false
  }

  /// Whether compaction would free a segment if it were let.
  var canReclaim: Bool {
    guard !isCompactionGivenUp, !isCompactionStuck else { return false }
    return relocation != nil || prefetch != nil
      || chooseVictim(minimumYield: MinimumYield.high) != nil
  }

  private func chooseVictim(minimumYield: Double) -> VictimCandidate? {
    let sequence = log.lastSequence.rawValue
    let candidates = (userOrder + relocationSegments).lazy.compactMap {
      [self] segment -> VictimCandidate? in
      let entry = table[segment]
      guard entry.state == .sealed, !unmovable.contains(segment), !busyVictims.contains(segment)
      else { return nil }
      let live = segments.liveByteCount(of: segment)
      // What has nothing live left is freed without being read.
      guard live > 0 else { return nil }
      let begun = beginSequences[segment]?.rawValue ?? 0
      return VictimCandidate(
        segment: segment,
        utilization: VictimPolicy.utilization(
          liveByteCount: live, of: entry, payloadPageCount: segments.payloadPageCount),
        age: sequence > begun ? sequence - begun : 0)
    }
    return VictimPolicy.choose(among: candidates, minimumYield: minimumYield)
  }

  private func begin(_ candidate: VictimCandidate) async -> Relocation? {
    let victim = candidate.segment
    let entry = table[victim]
    busyVictims.insert(victim)
    let age = entry.stream == .user ? 0 : Int(entry.stream.rawValue)
    let stream = outputs[min(age, outputs.count - 1)].stream
    let facts =
      entry.hasSummary ? await segmentReader.facts(of: victim, entry: entry) : nil
    var relocation = Relocation(
      victim: victim, entry: entry, stream: stream, yield: 1 - candidate.utilization, facts: facts)
    if facts == nil {
      guard let records = await segmentReader.records(of: victim, entry: entry) else {
        setAside(victim)
        busyVictims.remove(victim)
        return nil
      }
      relocation.pending = records
    }
    return relocation
  }

  var segmentReader: SegmentReader {
    SegmentReader(
      device: device, geometry: superblock.geometry, uuid: superblock.uuid, hashKey: hashKey)
  }

  /// A segment of which something cannot be read is not touched again: what is lost in it is named
  /// by its summary, and whatever heals lets it die as a whole.
  private func setAside(_ victim: SegmentIndex) {
    unmovable.insert(victim)
    health.setDegraded()
    health.report(
      .corruptionFound(
        byteOffset: superblock.geometry.firstPage(of: victim).rawValue
          * UInt64(Limits.pageByteCount)))
    health.logger.error(
      "a segment cannot be compacted: a part of it is damaged",
      metadata: ["segment": "\(victim.rawValue)"])
  }

  // MARK: A step

  /// Moves the records that have been read, while the next ones are.
  ///
  /// - Returns: whether there is more to do at once.
  private func step(minimumYield: Double?) async throws(IOError) -> Bool {
    if prefetch == nil { await readNext(minimumYield) }
    guard let ready = prefetch else { return false }
    var batch = await ready.batch.value
    prefetch = nil
    await readNext(minimumYield)
    let isComplete = try await copy(&batch, to: ready.stream)
    if batch.hasDamage { setAside(ready.victim) }
    guard try await publish(batch.moves) else {
      await dropRelocation()
      return true
    }
    guard isComplete else {
      await dropRelocation()
      isCompactionStuck = true
      return false
    }
    if ready.isLast {
      busyVictims.remove(ready.victim)
      counters.add(counters.compactedSegments)
    }
    let byteCount = Int(Double(ready.pageCount * Limits.pageByteCount) * ready.yield)
    wonByteCount += byteCount
    counters.add(counters.reclaimedBytes, byteCount)
    return true
  }

  /// Begins to read the next records, of another victim where one is done.
  private func readNext(_ minimumYield: Double?) async {
    while prefetch == nil {
      if relocation == nil {
        guard let minimumYield, let victim = chooseVictim(minimumYield: minimumYield) else {
          return
        }
        relocation = await begin(victim)
      }
      guard var current = relocation else { continue }
      if current.position == current.pending.count, !(await readSummary(&current)) {
        setAside(current.victim)
        busyVictims.remove(current.victim)
        relocation = nil
        continue
      }
      let pageCountBefore = current.pageCountDone
      let records = current.takeLive(
        byteLimit: stepByteCount, firstPage: superblock.geometry.firstPage(of: current.victim),
        isLive: isLive)
      let isLast = current.isDone
      if isLast { current.pageCountDone = Int(superblock.geometry.segmentPageCount.rawValue) }
      relocation = isLast ? nil : current
      let batch = RelocationBatch(records: records, geometry: superblock.geometry, current)
      prefetch = RelocationPrefetch(
        victim: current.victim, stream: current.stream, yield: current.yield,
        pageCount: current.pageCountDone - pageCountBefore, isLast: isLast,
        batch: Task(executorPreference: thread) { [device] in
          var batch = batch
          await batch.read(from: device)
          return batch
        })
    }
  }

  /// Whether the index still names a record of a summary.
  private func isLive(_ record: SummaryEntry) -> Bool {
    index.find(record.hash) == record.location.rawValue
  }

  /// Gives up what is being moved; the records stay where they are.
  func dropRelocation() async {
    relocation = nil
    _ = await prefetch?.batch.value
    prefetch = nil
    busyVictims = []
  }

  /// Loads the next records of the victim; false where its summary is damaged.
  private func readSummary(_ current: inout Relocation) async -> Bool {
    current.pending.removeAll(keepingCapacity: true)
    current.position = 0
    guard let facts = current.facts else { return true }
    let end = min(
      Int(facts.summaryPageCount.rawValue),
      current.nextSummaryPage + Relocation.summaryWindowPageCount)
    guard current.nextSummaryPage < end else { return true }
    let pages = current.nextSummaryPage..<end
    current.nextSummaryPage = end
    return await segmentReader.readSummary(
      facts, pages: pages, of: current.victim, entry: current.entry, into: &current.pending)
  }

  private var sealContext: SealContext {
    SealContext(
      uuid: superblock.uuid, geometry: superblock.geometry, durableSequence: log.durableSequence,
      clockMilliseconds: clock.stampMilliseconds,
      openEpoch: UInt32(truncatingIfNeeded: superblock.openCount))
  }

  private func outputPosition(of stream: StreamKind) -> Int {
    outputs.firstIndex { $0.stream == stream } ?? 0
  }

  /// Copies what was read into frames; false where no segment was free for all of it.
  private func copy(
    _ batch: inout RelocationBatch, to stream: StreamKind
  ) async throws(IOError) -> Bool {
    let position = outputPosition(of: stream)
    let seal = sealContext
    // One stays back for records whose write fails, but rather none than a victim half moved: it is
    // freed as soon as the rest has found a place.
    var leftCount = 1
    while !batch.copy(into: &outputs[position], seal, hashKey: hashKey, clock, isLive: isLive) {
      guard freeSegments.count > leftCount, let free = await takeFreeSegment() else { return false }
      leftCount = 0
      let opened = try await openSegments([free], stream: stream, predecessor: .none)
      relocationSegments.append(free)
      beginSequences[free] = log.lastSequence
      segments.setBufferedFloor(.max, of: free)
      outputs[position].enter(opened[0], seal)
    }
    return true
  }

  /// Writes and flushes the frames in memory, swings the index and seals what is full.
  ///
  /// - Returns: false where a write failed and nothing was swung.
  private func publish(_ moves: [Move]) async throws(IOError) -> Bool {
    guard !moves.isEmpty else { return true }
    let seal = sealContext
    for position in outputs.indices { outputs[position].closeFrame(seal) }
    var frames: [RelocationFrame] = []
    for position in outputs.indices { frames += outputs[position].takeClosed() }
    if let failure = await write(frames) {
      try await abandonOutputs(failure)
      return false
    }
    if let error = await device.flush() { throw error }
    for position in outputs.indices {
      outputs[position].flushedPageCount = outputs[position].current?.nextPage ?? 0
    }
    swing(moves)
    try await sealOutputs()
    return true
  }

  private func write(_ frames: [RelocationFrame]) async -> IOError? {
    let device = device
    return await withTaskGroup(of: IOError?.self) { group in
      for frame in frames {
        counters.add(
          counters.relocationBytes, frame.pageCount * Limits.pageByteCount)
        group.addTask { await frame.write(to: device) }
      }
      return await group.reduce(nil) { $0 ?? $1 }
    }
  }

  /// Lets the index name the copies, where it still names the originals.
  private func swing(_ moves: [Move]) {
    var hasDead = false
    for move in moves {
      // Counted first: the copy may be superseded and counted dead as soon as it is named.
      segments.addLive(move.new)
      if index.replace(move.hash, expected: move.old.rawValue, with: move.new.rawValue) {
        segments.noteIndexed(move.new, insteadOf: move.old)
        rename(move)
        if segments.removeLive(move.old) { hasDead = true }
      } else if segments.removeLive(move.new) {
        hasDead = true
      }
    }
    counters.add(counters.relocatedRecords, moves.count)
    if hasDead { log.noteDeadSegment() }
  }

  private func rename(_ move: Move) {
    let geometry = superblock.geometry
    guard let old = geometry.segment(containing: move.old.page),
      let new = geometry.segment(containing: move.new.page)
    else { return }
    cache.rename(
      move.old.rawValue, generation: table[old].generation.rawValue,
      to: move.new.rawValue, generation: table[new].generation.rawValue)
  }

  /// Seals the segments of relocated records that are full, whose frames have been flushed.
  private func sealOutputs() async throws(IOError) {
    var finished: [FinishedSegment] = []
    for position in outputs.indices { finished += outputs[position].takeFinished() }
    try await seal(finished)
  }

  /// Ends the segments that are being filled, for a clean shutdown.
  func finishOutputs() async throws(IOError) {
    for position in outputs.indices { outputs[position].finishSegment(isFull: false) }
    try await sealOutputs()
  }

  /// What a failed write leaves: the segments of the outputs are sealed where they were flushed, so
  /// that nothing behind counts, and what was copied is copied again elsewhere.
  private func abandonOutputs(_ failure: IOError) async throws(IOError) {
    compactionFailureCount += 1
    health.logger.error(
      "a write of compaction failed; it goes elsewhere", metadata: ["error": "\(failure)"])
    if isCompactionGivenUp {
      health.logger.critical("compaction is given up: writes failed in too many places")
    }
    if let error = await device.flush() { throw error }
    var changes: [(SegmentIndex, SegmentEntry)] = []
    for position in outputs.indices {
      for (segment, endPageCount) in outputs[position].abandonSegments() {
        var entry = table[segment]
        entry.state = .sealed
        entry.hasSummary = false
        entry.endPageCount = endPageCount
        changes.append((segment, entry))
        health.report(.segmentRetired(segment: Int(segment.rawValue)))
      }
    }
    try await updateTable(changes)
    log.noteDeadSegment()
  }
}
