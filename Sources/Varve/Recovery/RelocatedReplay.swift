// Replays what compaction wrote over an index that already has the user log.
//
// A relocated record keeps its sequence number, so copies may be met in any order: what counts is
// the highest number. Against the user log no number of the index is needed, because each of its
// segments holds a range of its own: a record whose number lies in the range of the segment that
// the entry names was copied out of that very segment, and the entry is the newest of it. Against a
// checkpoint: whatever it names is at least as new as every copy at or below its cut. Only where
// two copies meet are numbers kept, and where those of all copies do not fit in memory, the index
// is gone through in several passes, some shards in each (DESIGN.md, "Recovery").

import VarveFormat
import VarveIO

/// What replaying the relocated records found.
struct RelocatedReplayResult {
  /// Segments that were still being filled, with what they hold: they are sealed as they are.
  var openScans: [SegmentScan] = []
  /// Open segments without a frame that counts.
  var emptySegments: [SegmentIndex] = []
  /// The sequence number at which each segment was begun, as far as known.
  var beginSequences: [SegmentIndex: SequenceNumber] = [:]
  /// Whether copies that had been flushed are missing.
  var hasLoss = false
  var clockMilliseconds: UInt64 = 0
}

/// Replays segments of relocated records.
struct RelocatedReplay {
  let device: any BlockDevice
  let superblock: Superblock
  let table: SegmentTable
  let checkpoint: LoadedCheckpoint?
  let hashKey: HashKey
  /// The highest sequence number in each segment of the user log that was replayed.
  let lastSequences: [SegmentIndex: SequenceNumber]
  /// Memory for the sequence numbers of copies.
  let byteLimit: Int

  private var geometry: Geometry { superblock.geometry }

  /// A segment to be replayed.
  private struct Source {
    var segment: SegmentIndex
    var entry: SegmentEntry
    var recordCount: Int
    /// Its frames, where no summary serves.
    var scan: SegmentScan?
  }

  func replay(
    into index: inout RecoveredIndex, report: inout RecoveryReport
  ) async throws(StoreError) -> RelocatedReplayResult {
    var result = RelocatedReplayResult()
    let used = table.entries.filter { $0.entry.state != .free && $0.entry.stream.isRelocation }
    result.beginSequences = await beginSequences(of: used)
    var sources: [Source] = []
    for (segment, entry) in used where !isCovered(segment, entry) {
      let source = await look(at: segment, entry, &result, &report)
      if let source { sources.append(source) }
    }
    let total = sources.reduce(0) { $0 + $1.recordCount }
    let passCount = passCount(recordCount: total, shardCount: index.index.shardCount)
    for pass in 0..<passCount {
      let shards =
        index.index.shardCount * pass / passCount..<index.index.shardCount * (pass + 1) / passCount
      var sequences = RelocatedSequences(geometry: geometry)
      for source in sources {
        let records = await records(of: source, isFirstPass: pass == 0, &report)
        guard let records else {
          noteLoss(of: source.segment, &result, &report)
          continue
        }
        for record in records where shards.contains(index.index.shardIndex(of: record.hash)) {
          try apply(record, in: source.segment, &sequences, &index)
        }
      }
    }
    return result
  }

  /// How many passes the memory makes necessary.
  private func passCount(recordCount: Int, shardCount: Int) -> Int {
    let needed = recordCount * RelocatedSequences.byteCountPerRecord
    return min(shardCount, max(1, (needed + byteLimit - 1) / max(1, byteLimit)))
  }

  /// When the segments were begun, by their headers.
  private func beginSequences(
    of used: [(segment: SegmentIndex, entry: SegmentEntry)]
  ) async -> [SegmentIndex: SequenceNumber] {
    var sequences: [SegmentIndex: SequenceNumber] = [:]
    for start in stride(from: 0, to: used.count, by: UserLogRecovery.concurrentReadCount) {
      let chunk = used[start..<min(start + UserLogRecovery.concurrentReadCount, used.count)]
      let reader = reader
      await withTaskGroup(of: (SegmentIndex, SequenceNumber?).self) { group in
        for (segment, entry) in chunk {
          group.addTask {
            (segment, await reader.header(of: segment, entry: entry)?.durableWatermark)
          }
        }
        for await (segment, sequence) in group { sequences[segment] = sequence }
      }
    }
    return sequences
  }

  /// Whether the checkpoint already has everything in a segment: it was sealed when that began.
  private func isCovered(_ segment: SegmentIndex, _ entry: SegmentEntry) -> Bool {
    guard let checkpoint else { return false }
    return checkpoint.generations[Int(segment.rawValue)] == entry.generation
  }

  private func look(
    at segment: SegmentIndex, _ entry: SegmentEntry, _ result: inout RelocatedReplayResult,
    _ report: inout RecoveryReport
  ) async -> Source? {
    if entry.state == .sealed, entry.hasSummary,
      let facts = await reader.facts(of: segment, entry: entry)
    {
      return Source(segment: segment, entry: entry, recordCount: Int(facts.recordCount))
    }
    let endPage = Int(entry.endPageCount.rawValue)
    var scan = await scanner.scan(
      segment, generation: entry.generation, endPage: entry.state == .sealed ? endPage : nil)
    report.readByteCount += UInt64(scan.readPageCount * Limits.pageByteCount)
    report.frameRecordCount += scan.recordCount
    result.clockMilliseconds = max(result.clockMilliseconds, scan.clockMilliseconds)
    // DURABILITY: the table says how much of an open segment had been flushed before anything
    // relied on it, so a chain that ends earlier is damage and never a torn tail.
    if scan.endPage < endPage {
      noteLoss(of: segment, &result, &report)
      scan.records += scan.leftovers.frames.flatMap(\.records)
    }
    if entry.state == .open {
      guard scan.hasFrames else {
        result.emptySegments.append(segment)
        return nil
      }
      result.openScans.append(scan.summarized())
    }
    return Source(
      segment: segment, entry: entry, recordCount: scan.recordCount, scan: scan)
  }

  private func records(
    of source: Source, isFirstPass: Bool, _ report: inout RecoveryReport
  ) async -> [SummaryEntry]? {
    if let scan = source.scan { return scan.records }
    guard let summary = await reader.summary(of: source.segment, entry: source.entry) else {
      // Its frames say the same.
      return await reader.records(of: source.segment, entry: source.entry)
    }
    if isFirstPass { report.summaryRecordCount += summary.records.count }
    report.readByteCount += UInt64(
      (2 + Int(summary.facts.summaryPageCount.rawValue)) * Limits.pageByteCount)
    return summary.records
  }

  /// Applies a copy unless the index names something at least as new.
  private func apply(
    _ record: SummaryEntry, in segment: SegmentIndex, _ sequences: inout RelocatedSequences,
    _ index: inout RecoveredIndex
  ) throws(StoreError) {
    let current = RecordLocation(rawValue: index.index.find(record.hash))
    guard current == .none || isNewer(record, than: current, sequences) else { return }
    try index.apply(record.hash, record.location)
    sequences.note(record, in: segment)
  }

  private func isNewer(
    _ record: SummaryEntry, than current: RecordLocation, _ sequences: RelocatedSequences
  ) -> Bool {
    if PlantedBug.lastCopyWins.isPlanted { return true }
    guard let segment = geometry.segment(containing: current.page) else { return true }
    if let noted = sequences.sequence(at: current, in: segment) {
      return record.sequence > noted
    }
    if let last = lastSequences[segment] { return record.sequence > last }
    return record.sequence > checkpoint?.root.cutSequence ?? .zero
  }

  private func noteLoss(
    of segment: SegmentIndex, _ result: inout RelocatedReplayResult,
    _ report: inout RecoveryReport
  ) {
    result.hasLoss = true
    report.findings.append(
      "segment \(segment.rawValue): records that compaction moved there are damaged, and nothing "
        + "names all of them; all keys are suspect")
  }

  private var reader: SegmentReader {
    SegmentReader(device: device, geometry: geometry, uuid: superblock.uuid, hashKey: hashKey)
  }

  private var scanner: FrameScanner {
    FrameScanner(
      device: device, geometry: geometry, uuid: superblock.uuid,
      checksum: Checksum(uuid: superblock.uuid), hashKey: hashKey, cut: nil)
  }
}
