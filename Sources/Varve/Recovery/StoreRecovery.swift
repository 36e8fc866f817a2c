// Opening a store: elect a superblock, read the table, load a checkpoint, replay the log behind it.
// The ladder: checkpoint + the log after it, summaries of sealed segments, full scan of frames;
// each rung is taken for exactly the part where the one above does not serve.

import VarveFormat
import VarveIO

/// Everything that a recovery found, before anything is written.
struct RecoveredStore {
  var superblock: Superblock
  /// Whether some copies of the superblock still name the size that the store had before it grew.
  var hasOtherSize: Bool
  var table: SegmentTable
  var index: RecordIndex
  var segments: SegmentDirectory
  var replay: UserLogReplay
  var relocated: RelocatedReplayResult
  /// Segments of relocated records, empty ones excluded.
  var relocatedSegments: [SegmentIndex]
  var report: RecoveryReport
}

extension RecoveredStore {
  /// The sequence number at which each segment was begun, as far as known.
  var beginSequences: [SegmentIndex: SequenceNumber] {
    replay.firstSequences.merging(relocated.beginSequences) { first, _ in first }
  }
}

/// Recovers a store in memory. Writes nothing.
struct StoreRecovery {
  let device: any BlockDevice
  let memory: (Superblock) throws(StoreError) -> MemoryPlan
  let environment: StoreEnvironment
  let progress: (@Sendable (RecoveryProgress) -> Void)?

  /// The superblock that counts, or why the device is no store.
  static func electSuperblock(
    on device: any BlockDevice
  ) async throws(StoreError) -> SuperblockStore.Election {
    let election = await SuperblockStore.elect(on: device)
    guard let superblock = election.superblock else {
      throw await refusal(of: device, election)
    }
    guard superblock.geometry.deviceByteCount <= device.byteCount else {
      throw StoreError(
        .refused,
        "the store was formatted for \(superblock.geometry.deviceByteCount) bytes, and the device "
          + "has only \(device.byteCount): it has been cut short. Restore its full length")
    }
    return election
  }

  func recover() async throws(StoreError) -> RecoveredStore {
    let start = environment.monotonicNanoseconds()
    let election = try await StoreRecovery.electSuperblock(on: device)
    guard let superblock = election.superblock else { throw .closedStore }
    let plan = try memory(superblock)
    var report = RecoveryReport()
    report.outcome = superblock.shutdown == .clean ? .clean : .recovered
    if election.validCount < Superblock.copyCount {
      report.findings.append(
        "\(Superblock.copyCount - election.validCount) of \(Superblock.copyCount) superblock "
          + "copies are damaged or behind; they are rewritten when the store is opened to write")
    }
    let (table, lostPages) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: device)
    var recoveredTable = table
    var index = RecoveredIndex(byteLimit: plan.indexByteLimit, shardCount: plan.shardCount)
    var replay: UserLogReplay
    var checkpoint: LoadedCheckpoint?
    if lostPages.isEmpty {
      checkpoint = try await loadCheckpoint(superblock, table, plan, &index, &report)
      replay = try await replayLog(superblock, table, checkpoint, &index, &report)
    } else {
      recoveredTable = await reconstruct(table, lostPages, superblock, &report)
      replay = try await replayLog(superblock, recoveredTable, nil, &index, &report)
      replay.suspect = SuspectRange(ceiling: SequenceNumber(UInt64.max))
    }
    let relocated = try await replayRelocated(
      superblock, recoveredTable, checkpoint, plan, replay, &index, &report)
    if relocated.hasLoss { replay.suspect = SuspectRange(ceiling: SequenceNumber(UInt64.max)) }
    replay.clockMilliseconds = max(replay.clockMilliseconds, relocated.clockMilliseconds)
    let segments = SegmentDirectory(
      geometry: superblock.geometry, segmentLimit: plan.segmentLimit)
    count(into: segments, recoveredTable, index.index, &replay, relocated, &report)
    if let suspect = replay.suspect {
      report.outcome = .degraded
      report.suspectCeiling = suspect.ceiling.rawValue
    }
    report.durationSeconds = Double(environment.monotonicNanoseconds() - start) / 1e9
    return RecoveredStore(
      superblock: superblock, hasOtherSize: election.hasOtherSize, table: recoveredTable,
      index: index.index, segments: segments,
      replay: replay, relocated: relocated,
      relocatedSegments: recoveredTable.entries.filter {
        $0.entry.state != .free && $0.entry.stream.isRelocation
          && !relocated.emptySegments.contains($0.segment)
      }.map(\.segment), report: report)
  }

  private func replayRelocated(
    _ superblock: Superblock, _ table: SegmentTable, _ checkpoint: LoadedCheckpoint?,
    _ plan: MemoryPlan, _ replay: UserLogReplay, _ index: inout RecoveredIndex,
    _ report: inout RecoveryReport
  ) async throws(StoreError) -> RelocatedReplayResult {
    try await RelocatedReplay(
      device: device, superblock: superblock, table: table, checkpoint: checkpoint,
      hashKey: HashKey(low: superblock.hashKeyLow, high: superblock.hashKeyHigh),
      lastSequences: replay.lastSequences,
      // Nobody writes or reads records yet.
      byteLimit: plan.bufferByteLimit + plan.readByteLimit
    ).replay(into: &index, report: &report)
  }

  private func replayLog(
    _ superblock: Superblock, _ table: SegmentTable, _ checkpoint: LoadedCheckpoint?,
    _ index: inout RecoveredIndex, _ report: inout RecoveryReport
  ) async throws(StoreError) -> UserLogReplay {
    let total = table.entries.reduce(UInt64(0)) { sum, item in
      item.entry.state == .free ? sum : sum + UInt64(superblock.geometry.segmentByteCount)
    }
    let meter = ProgressMeter(byteCount: total, report: progress)
    return try await UserLogRecovery(
      device: device, superblock: superblock, table: table, checkpoint: checkpoint,
      hashKey: HashKey(low: superblock.hashKeyLow, high: superblock.hashKeyHigh),
      progress: meter.advance
    ).replay(into: &index, report: &report)
  }

  /// Loads the newest checkpoint that is whole. A damaged one is a finding, not a loss.
  private func loadCheckpoint(
    _ superblock: Superblock, _ table: SegmentTable, _ plan: MemoryPlan,
    _ index: inout RecoveredIndex, _ report: inout RecoveryReport
  ) async throws(StoreError) -> LoadedCheckpoint? {
    let loader = CheckpointLoader(
      device: device, geometry: superblock.geometry, uuid: superblock.uuid,
      checksum: Checksum(uuid: superblock.uuid), table: table)
    guard let reference = superblock.checkpoint else { return nil }
    guard let root = await loader.root(reference) else {
      report.findings.append("checkpoint \(reference.identifier) is damaged; it is not used")
      return nil
    }
    // Entries keep only the bits of the selector that named their shard, so more shards than
    // that cannot be filled from it.
    let shardCount = min(plan.shardCount, 1 << Int(min(root.selectorBitCount, 24)))
    index.reset(shardCount: shardCount)
    var failure: StoreError?
    let loaded = await loader.load(reference, root: root) { entries in
      do throws(StoreError) {
        for entry in entries { try index.apply(entry.hash, entry.location) }
        return true
      } catch {
        failure = error
        return false
      }
    }
    if let failure { throw failure }
    guard let loaded else {
      report.findings.append("checkpoint \(reference.identifier) is damaged; it is not used")
      index.reset(shardCount: plan.shardCount)
      return nil
    }
    dropVoidEntries(of: index.index, loaded, table, superblock.geometry)
    report.checkpointEntryCount = index.index.entryCount
    report.usedCheckpoint = true
    report.readByteCount += root.pageCount * UInt64(Limits.pageByteCount)
    return loaded
  }

  /// Takes out of the index what lies in segments that were freed since the checkpoint began.
  private func dropVoidEntries(
    of index: RecordIndex, _ checkpoint: LoadedCheckpoint, _ table: SegmentTable,
    _ geometry: Geometry
  ) {
    var entries: [IndexEntry] = []
    for shard in 0..<index.shardCount {
      entries.removeAll(keepingCapacity: true)
      index.snapshot(ofShard: shard, into: &entries)
      for entry in entries
      where !isCurrent(
        RecordLocation(rawValue: entry.locationWord), checkpoint, table, geometry)
      {
        _ = index.replace(
          inShard: shard, fingerprint: entry.fingerprint, expected: entry.locationWord, with: 0)
      }
    }
  }

  /// An entry counts while its segment is the one that it was when the checkpoint began. Otherwise
  /// its record was superseded, durably, behind the cut.
  private func isCurrent(
    _ location: RecordLocation, _ checkpoint: LoadedCheckpoint, _ table: SegmentTable,
    _ geometry: Geometry
  ) -> Bool {
    guard let segment = geometry.segment(containing: location.page) else { return false }
    if PlantedBug.generationIgnored.isPlanted { return true }
    let now = table[segment]
    return now.state != .free && now.stream != .checkpoint
      && now.generation == checkpoint.generations[Int(segment.rawValue)]
  }

  /// With a page of the table lost in all copies, what its segments are is read from themselves:
  /// enough to serve reads that the caller allows to be suspect.
  private func reconstruct(
    _ table: SegmentTable, _ lostPages: [Int], _ superblock: Superblock,
    _ report: inout RecoveryReport
  ) async -> SegmentTable {
    var table = table
    let geometry = superblock.geometry
    let buffer = PageBuffer(pageCount: 1)
    for ordinal in lostPages {
      report.findings.append(
        "page \(ordinal) of the segment table is damaged in all copies; all keys are suspect")
      for position in table.pages[ordinal].entries.indices {
        let segment = SegmentIndex(
          UInt32(ordinal * SegmentTablePage.entriesPerPage + position))
        let page = geometry.firstPage(of: segment)
        guard await device.read(1, pagesAt: page, into: buffer) == nil else { continue }
        let found = buffer.withPage(0) { bytes -> SegmentEntry? in
          guard let peeked = try? PageHeader.peek(bytes, uuid: superblock.uuid),
            peeked.page == page, peeked.kind == .segmentHeader,
            let header = try? SegmentHeader(decoding: bytes)
          else { return nil }
          return SegmentEntry(
            state: .open, stream: header.stream, generation: peeked.generation,
            predecessor: header.predecessor)
        }
        if let found { table.assume(found, for: segment) }
      }
    }
    return table
  }

  /// Counts what is live in each segment, and notices records that are not there.
  ///
  /// DURABILITY: whatever a checkpoint names had been flushed before it became valid, also what was
  /// appended while it was written. An entry that points behind the end of an open segment, or into
  /// one without frames, shows that flushed frames are missing.
  private func count(
    into directory: SegmentDirectory, _ table: SegmentTable, _ index: RecordIndex,
    _ replay: inout UserLogReplay, _ relocated: RelocatedReplayResult,
    _ report: inout RecoveryReport
  ) {
    let geometry = table.geometry
    for (segment, entry) in table.entries {
      directory.setGeneration(entry.generation, of: segment)
    }
    var ends: [SegmentIndex: Int] = [:]
    for scan in replay.openScans { ends[scan.segment] = scan.endPage }
    for scan in relocated.openScans { ends[scan.segment] = scan.endPage }
    for segment in replay.emptySegments + relocated.emptySegments { ends[segment] = 0 }
    var danglingCount = 0
    var entries: [IndexEntry] = []
    for shard in 0..<index.shardCount {
      entries.removeAll(keepingCapacity: true)
      index.snapshot(ofShard: shard, into: &entries)
      for entry in entries {
        let location = RecordLocation(rawValue: entry.locationWord)
        directory.addLive(location)
        directory.noteIndexed(location, insteadOf: .none)
        guard let segment = geometry.segment(containing: location.page), let end = ends[segment]
        else { continue }
        let page = location.page.rawValue - geometry.firstPage(of: segment).rawValue
        if page >= UInt64(end) { danglingCount += 1 }
      }
    }
    if danglingCount > 0, replay.suspect == nil {
      replay.suspect = SuspectRange(ceiling: SequenceNumber(UInt64.max))
      report.findings.append(
        "\(danglingCount) records that a checkpoint names are missing from the log; all keys are "
          + "suspect")
    }
  }
}

/// Adds up what has been read and tells the caller.
final class ProgressMeter {
  private let byteCount: UInt64
  private var done: UInt64 = 0
  private let report: (@Sendable (RecoveryProgress) -> Void)?

  init(byteCount: UInt64, report: (@Sendable (RecoveryProgress) -> Void)?) {
    self.byteCount = byteCount
    self.report = report
  }

  func advance(_ byteCount: Int) {
    done += UInt64(byteCount)
    report?(RecoveryProgress(byteCountDone: min(done, self.byteCount), byteCount: self.byteCount))
  }
}
