// Tombstones die when no older record of their key is left in any segment. Segments die in any
// order and cold ones live on, so nothing short of looking tells: a sweep reads all summaries, a
// few pages in each step, and finds the tombstones that none of them mentions otherwise.
//
// DURABILITY: nothing is written when a tombstone dies. Until its segment is free, durably, a
// recovery finds it again. A segment that is missing from the sweep was free, durably, before; a
// checkpoint's entry for what lay there is void. An older record is never copied while the sweep
// goes on: the index has named the tombstone since before it began, and only what the index names
// is copied. A step of compaction that was under way then is complete, because both belong to one
// task.

import Logging
import VarveFormat
import VarveIO

extension Maintenance {
  /// Whether looking for tombstones that can die is worth reading all summaries.
  var isSweepDue: Bool {
    let count = segments.indexedTombstoneCount
    // Segments that are sealed out of turn, after a failed write, have older ones behind them.
    guard count > 0, !log.isPoisoned, log.finishedSegments.isEmpty else { return false }
    // Until another segment is sealed or freed, everything is as it was at the last sweep.
    guard let turnoverAtSweep else { return true }
    let turnover = turnoverCount - turnoverAtSweep
    guard turnover > 0 else { return false }
    if count * 4 >= index.entryCount || hasTombstoneSegment { return true }
    return turnover >= Int(superblock.geometry.segmentCount / 4)
      && (count * 64 >= index.entryCount || freeSegments.count <= reserve + compactionMargin)
  }

  /// Whether a sealed segment has nothing live but tombstones.
  private var hasTombstoneSegment: Bool {
    (userOrder + relocationSegments).contains {
      table[$0].state == .sealed && segments.liveRecordCount(of: $0) == 0
        && segments.liveTombstoneCount(of: $0) > 0
    }
  }

  /// Looks at some records, if a sweep is under way or due.
  ///
  /// - Returns: whether there is more to do at once.
  func sweep() async -> Bool {
    if sweepInProgress == nil {
      guard nextSweepShard > 0 || isSweepDue else { return false }
      beginSweep()
    }
    guard var current = sweepInProgress else { return false }
    sweepInProgress = nil
    if current.current == nil {
      end(current)
      return nextSweepShard > 0
    }
    guard await look(&current) else {
      // Damage may hide an older record, so nothing dies.
      nextSweepShard = 0
      return false
    }
    sweepInProgress = current
    return true
  }

  /// Takes the tombstones of as many shards as memory allows for candidates.
  private func beginSweep() {
    if nextSweepShard == 0 { turnoverAtSweep = turnoverCount }
    let first = nextSweepShard
    let limit = max(1024, stepByteCount / MemoryLayout<TombstoneSweep.Candidate>.stride)
    var candidates: [TombstoneSweep.Candidate] = []
    var entries: [IndexEntry] = []
    while nextSweepShard < index.shardCount, candidates.count < limit {
      index.snapshot(ofShard: nextSweepShard, into: &entries)
      for entry in entries {
        let location = RecordLocation(rawValue: entry.locationWord)
        guard location.isTombstone,
          let segment = superblock.geometry.segment(containing: location.page),
          // What is not sealed may have records before it that are not, either.
          table[segment].state == .sealed
        else { continue }
        candidates.append(
          TombstoneSweep.Candidate(
            fingerprint: entry.fingerprint, shard: nextSweepShard, location: location))
      }
      nextSweepShard += 1
    }
    let shards = first..<nextSweepShard
    if nextSweepShard == index.shardCount { nextSweepShard = 0 }
    // Open segments of the log come behind every sealed one: nothing older lies there.
    var sweep = TombstoneSweep(
      candidates: candidates, shards: shards,
      segments: candidates.isEmpty
        ? []
        : (userOrder + relocationSegments).filter { table[$0].state == .sealed }.map {
          ($0, table[$0].generation)
        })
    for output in outputs { output.forEachRecord { sweep.note($0) } }
    sweepInProgress = sweep
  }

  /// Looks at the next pages of a summary; false where they are damaged.
  private func look(_ sweep: inout TombstoneSweep) async -> Bool {
    guard let (segment, generation) = sweep.current else { return true }
    let entry = table[segment]
    // Freed since, or freed and used again for what is newer.
    guard entry.state == .sealed, entry.generation == generation else {
      sweep.advance()
      return true
    }
    var records: [SummaryEntry] = []
    if sweep.facts == nil, entry.hasSummary {
      sweep.facts = await segmentReader.facts(of: segment, entry: entry)
    }
    if let facts = sweep.facts {
      let end = min(
        Int(facts.summaryPageCount.rawValue),
        sweep.nextSummaryPage + Relocation.summaryWindowPageCount)
      let pages = sweep.nextSummaryPage..<end
      guard
        await segmentReader.readSummary(
          facts, pages: pages, of: segment, entry: entry, into: &records)
      else { return false }
      sweep.nextSummaryPage = end
      if end == Int(facts.summaryPageCount.rawValue) { sweep.advance() }
    } else {
      guard let all = await segmentReader.records(of: segment, entry: entry) else { return false }
      records = all
      sweep.advance()
    }
    for record in records where sweep.shards.contains(index.shardIndex(of: record.hash)) {
      sweep.note(record)
    }
    return true
  }

  /// Lets the tombstones die that nothing needs.
  private func end(_ sweep: TombstoneSweep) {
    var hasDead = false
    for candidate in sweep.unneeded
    where index.replace(
      inShard: candidate.shard, fingerprint: candidate.fingerprint,
      expected: candidate.location.rawValue, with: 0)
    {
      segments.noteIndexed(.none, insteadOf: candidate.location)
      if segments.removeLive(candidate.location) { hasDead = true }
      counters.add(counters.deadTombstones)
    }
    if hasDead { log.noteDeadSegment() }
  }
}
