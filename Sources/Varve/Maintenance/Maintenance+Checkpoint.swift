// Index checkpoints: a cache of the log. The index is dumped shard by shard while writes go on, so
// the dump is fuzzy: what was written after it began is found again by replaying the log from where
// it began, in order, over the dump. An entry whose segment has been freed since is void at load,
// because its generation differs from the one recorded here.

import Logging
import Synchronization
import VarveFormat
import VarveIO

extension Maintenance {
  /// Whether replaying the log since the last checkpoint would take longer than asked for.
  var isCheckpointDue: Bool {
    let records = log.recordCountSinceCheckpoint
    let seconds = Double(records) * Maintenance.replaySecondsPerRecord
    return seconds > options.recoveryTimeTargetSeconds / 2 && records > index.entryCount / 4
      && records >= checkpointRetryRecordCount
  }

  /// What replaying a record costs, measured: an index insert that misses the CPU's caches.
  static let replaySecondsPerRecord = 250e-9

  /// Writes a checkpoint. Where there is no room for one, or a page of it cannot be written, the
  /// store goes on without: it is only a cache of the log.
  ///
  /// - Returns: why what was written before is not durable, or nil.
  func writeCheckpoint() async -> StoreError? {
    guard !log.isPoisoned else { return .poisonedStore }
    do throws(IOError) {
      guard let position = log.beginCheckpoint() else { return try await settle(through: nil) }
      // Where it comes to nothing, the next attempt waits until there is more to gain.
      checkpointRetryRecordCount = position.recordCount + index.entryCount / 8
      guard let writer = try await prepareCheckpoint(position) else {
        return try await settle(through: nil)
      }
      return try await publish(writer, position)
    } catch {
      log.poison("a checkpoint could not be written: \(error)")
      return .poisonedStore
    }
  }

  /// Writes everything but the root; nil where space is short or a page could not be written.
  private func prepareCheckpoint(
    _ position: CheckpointPosition
  ) async throws(IOError) -> CheckpointWriter? {
    let geometry = superblock.geometry
    let pages = CheckpointWriter.pageBound(
      entryCount: index.entryCount, segmentCount: Int(geometry.segmentCount))
    let perSegment = Int(geometry.segmentPageCount.rawValue) - 1
    let needed = (pages + perSegment - 1) / perSegment
    guard ledger.headroom > needed else { return nil }
    var free: [SegmentIndex] = []
    while free.count < needed, let segment = await ledger.takeFree() { free.append(segment) }
    unpublishedCheckpoint = free
    defer { unpublishedCheckpoint = [] }
    let taken = try await ledger.open(free, stream: .checkpoint)
    var generations = ledger.table.entries.map { item in
      // What compaction is filling is replayed from its beginning.
      let isFilling = item.entry.state == .open && item.entry.stream.isRelocation
      return item.entry.state == .free || isFilling
        || position.unusedSegments.contains(item.segment)
        ? Generation(0) : item.entry.generation
    }
    for segment in taken { generations[Int(segment.segment.rawValue)] = Generation(0) }
    let writer = CheckpointWriter(
      device: device, superblock: superblock, position: position, segments: taken,
      identifier: (superblock.checkpoint?.identifier ?? 0) + 1)
    if taken.count == needed,
      try await writer.write(
        index: index, generations: generations,
        meanwhile: { () throws(IOError) in
          try await self.supplyLog()
          return self.ledger.headroom > 0
        })
    {
      return writer
    }
    try await giveUp(writer)
    return nil
  }

  /// Makes a written checkpoint the one that counts.
  ///
  /// DURABILITY: every record that it names is flushed before the root is; the root is flushed
  /// before the superblock names it; the segments of the one before are freed only when the new
  /// superblock is durable in at least three copies.
  private func publish(
    _ writer: CheckpointWriter, _ position: CheckpointPosition
  ) async throws(IOError) -> StoreError? {
    if let error = try await settle(through: nil) {
      try await giveUp(writer)
      return error
    }
    do throws(IOError) {
      try await writer.writeRoot()
    } catch {
      guard error.operation == .write else { throw error }
      health.logger.warning("a checkpoint was given up", metadata: ["error": "\(error)"])
      try await giveUp(writer)
      return nil
    }
    var changes: [(SegmentIndex, SegmentEntry)] = []
    for segment in writer.segments {
      var entry = ledger[segment.segment]
      entry.state = .sealed
      entry.endPageCount = superblock.geometry.segmentPageCount
      changes.append((segment.segment, entry))
    }
    try await ledger.update(changes)
    counters.add(counters.checkpointBytes, writer.pagesWritten * Limits.pageByteCount)
    superblock.checkpoint = writer.reference
    try await writeSuperblock()
    log.noteCheckpoint(at: position)
    checkpointRetryRecordCount = 0
    let current = Set(writer.segments.map(\.segment))
    try await turnOver(
      freed: ledger.table.entries.filter {
        $0.entry.stream == .checkpoint && $0.entry.state != .free && !current.contains($0.segment)
      }.map(\.segment))
    health.report(.checkpointCompleted(entryCount: writer.entryCount))
    return nil
  }

  /// Frees the segments of a checkpoint that will never count, and lets the log have them.
  private func giveUp(_ writer: CheckpointWriter) async throws(IOError) {
    unpublishedCheckpoint = []
    try await turnOver(freed: writer.segments.map(\.segment))
    try await provideSegments()
  }

  /// Gives the checkpoint up for its space: it is only a cache.
  ///
  /// DURABILITY: its segments are freed only when no copy of the superblock that could be elected
  /// names them.
  func dropCheckpoint() async throws(IOError) {
    superblock.checkpoint = nil
    try await writeSuperblock()
    log.noteCheckpointDropped(recordCount: index.entryCount)
    try await turnOver(
      freed: ledger.table.entries.filter {
        $0.entry.stream == .checkpoint && $0.entry.state != .free
          && !unpublishedCheckpoint.contains($0.segment)
      }.map(\.segment))
  }

  /// Finishes all work, marks the store clean and leaves nothing to recover.
  ///
  /// DURABILITY: the superblock says "clean" after a flush that covers every frame, and names the
  /// last one, so that its loss would be noticed.
  func closeStore() async -> StoreError? {
    do throws(IOError) {
      if let error = try await settle(through: nil) {
        _ = log.close()
        return error
      }
      try await compactor.finish()
      try await sealFinishedSegments()
      try await freeDeadSegments()
      if log.recordCountSinceCheckpoint > Maintenance.checkpointAtCloseRecordCount {
        _ = await writeCheckpoint()
      }
      guard let end = try await endLog() else { return .poisonedStore }
      try await releaseUnusedSegments(end)
      superblock.shutdown = .clean
      superblock.lastSequence = end.lastSequence
      superblock.sequenceCeiling = end.lastSequence
      superblock.lastFramePage =
        if let segment = end.segment, end.lastFramePage > 0 {
          PageIndex(
            superblock.geometry.firstPage(of: segment).rawValue + UInt64(end.lastFramePage))
        } else { PageIndex(0) }
      superblock.lastFrameChecksum =
        superblock.lastFramePage.rawValue > 0 ? end.lastFrameChecksum : 0
      try await writeSuperblock()
      return nil
    } catch {
      log.poison("the store could not be closed: \(error)")
      return StoreError(.io, "the store could not be marked clean: \(error)")
    }
  }

  /// Settles until the log can be closed; nil where it is poisoned. Writes that had begun before
  /// the store began to close may still come in; new ones are refused, so this ends.
  private func endLog() async throws(IOError) -> LogEnd? {
    while true {
      if try await settle(through: nil) != nil { return nil }
      if let end = log.close() { return end }
    }
  }

  /// Fewer records than this are replayed faster than a checkpoint is worth.
  static let checkpointAtCloseRecordCount = 200_000

  private func releaseUnusedSegments(_ end: LogEnd) async throws(IOError) {
    var unused = log.takeReady().map(\.segment) + compactor.takeUnused()
    if let segment = end.segment, end.lastFramePage == 0 { unused.append(segment) }
    try await turnOver(freed: unused)
  }
}
