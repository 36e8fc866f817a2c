// Tombstones die when no older record of their key is left in any segment. Segments die in any
// order and cold ones live on, so nothing short of looking tells: a sweep reads all summaries, a
// few pages in each step, and finds the tombstones that none of them mentions otherwise. On its way
// it counts what has expired, which nothing else would notice either.
//
// DURABILITY: nothing is written when a tombstone dies. Until its segment is free, durably, a
// recovery finds it again. A segment that is missing from the sweep was free, durably, before; a
// checkpoint's entry for what lay there is void. An older record is never copied while the sweep
// goes on: the index has named the tombstone since before it began, and only what the index names
// is copied, which is asked at the moment of copying. What had been copied before and is not sealed
// yet, the sweep looks at in memory when it begins.

import Logging
import VarveFormat
import VarveIO

/// Looks for tombstones that can die, a bit at a time. Belongs to the maintenance task.
///
/// SAFETY: touched by the maintenance task alone.
final class Sweeper: @unchecked Sendable {
  private let log: LogAppender
  private let index: RecordIndex
  private let segments: SegmentDirectory
  private let ledger: SegmentLedger
  private let compactor: Compactor
  private let candidateLimit: Int
  /// The sweep that is under way.
  private var current: TombstoneSweep?
  /// The index shard with which it goes on; 0 where a new one begins.
  private var nextShard = 0
  /// The turnover of segments when the last sweep began; nil makes one due.
  private var turnoverAtLast: Int?
  /// Tombstones that have died since the store was opened.
  private(set) var deadCount = 0
  /// Segments that could not be looked at, and were reported.
  private var unreadable: Set<SegmentIndex> = []
  /// When expired records were last counted, by the TTL clock.
  private var millisecondsAtLast: UInt64 = 0

  init(log: LogAppender, ledger: SegmentLedger, compactor: Compactor) {
    self.log = log
    index = log.index
    segments = log.segments
    self.ledger = ledger
    self.compactor = compactor
    candidateLimit = max(
      1024, compactor.stepByteCount / MemoryLayout<TombstoneSweep.Candidate>.stride)
  }

  /// Makes a sweep due, whatever the last one found.
  func demand() {
    turnoverAtLast = nil
    millisecondsAtLast = 0
  }

  /// Whether one is under way.
  var isUnderWay: Bool { current != nil || nextShard > 0 }

  /// Whether looking is worth reading all summaries.
  func isDue(isSpaceShort: Bool) -> Bool {
    guard !log.isPoisoned, log.finishedSegments.isEmpty else { return false }
    if areExpiriesDue(isSpaceShort: isSpaceShort) { return true }
    let count = segments.indexedTombstoneCount
    guard count > 0 else { return false }
    // Until another segment is sealed or freed, everything is as it was at the last sweep.
    guard let turnoverAtLast else { return true }
    let turnover = ledger.turnoverCount - turnoverAtLast
    guard turnover > 0 else { return false }
    if count * 4 >= index.entryCount || hasTombstoneSegment { return true }
    return turnover >= Int(ledger.table.geometry.segmentCount / 4)
      && (count * 64 >= index.entryCount || isSpaceShort)
  }

  /// Whether more records may have expired than the last look found. Nothing tells how many, so
  /// time does, and how much the space is wanted.
  private func areExpiriesDue(isSpaceShort: Bool) -> Bool {
    guard segments.indexedExpiryCount > 0 else { return false }
    let interval = isSpaceShort ? Sweeper.shortMilliseconds : Sweeper.idleMilliseconds
    return log.clock.milliseconds >= millisecondsAtLast + interval
  }

  /// Between two looks for what has expired: where space is short, and where it is not.
  static let shortMilliseconds: UInt64 = 1_000
  static let idleMilliseconds: UInt64 = 600_000

  /// Whether a sealed segment has nothing live but tombstones.
  private var hasTombstoneSegment: Bool {
    ledger.sealed.contains {
      segments.liveRecordCount(of: $0) == 0 && segments.liveTombstoneCount(of: $0) > 0
    }
  }

  /// Looks at some records, if a sweep is under way or due.
  ///
  /// - Returns: whether there is more to do at once.
  func advance(isSpaceShort: Bool) async -> Bool {
    guard !log.isPoisoned else { return false }
    if current == nil {
      // Segments that are sealed out of turn, after a failed write, have older ones behind them.
      guard log.finishedSegments.isEmpty else { return false }
      guard nextShard > 0 || isDue(isSpaceShort: isSpaceShort) else { return false }
      begin()
    }
    guard var sweep = current else { return false }
    current = nil
    if sweep.current == nil {
      end(sweep)
      // Also where that was the last: whether there is space to come has to be asked again.
      return true
    }
    guard await look(&sweep) else {
      // Damage may hide an older record, so nothing dies.
      nextShard = 0
      return true
    }
    current = sweep
    return true
  }

  /// Takes the tombstones of as many shards as memory allows for candidates.
  private func begin() {
    let first = nextShard
    if first == 0 { turnoverAtLast = ledger.turnoverCount }
    let countsExpired = first == 0 && segments.indexedExpiryCount > 0
    if countsExpired { millisecondsAtLast = log.clock.milliseconds }
    let candidates = takeCandidates()
    let shards = first..<nextShard
    if nextShard == index.shardCount { nextShard = 0 }
    // Open segments of the log come behind every sealed one: nothing older lies there.
    var sweep = TombstoneSweep(
      candidates: candidates, shards: shards,
      segments: candidates.isEmpty && !countsExpired
        ? [] : ledger.sealed.map { ($0, ledger[$0].generation) },
      countsExpired: countsExpired)
    for output in compactor.outputs { output.forEachRecord { sweep.note($0) } }
    current = sweep
  }

  /// Whether whatever is older than a record of a segment lies in sealed segments or with
  /// compaction. In the log what is not sealed may have records before it that are not, either;
  /// what compaction fills comes from sealed ones.
  private func hasAllOlderSealed(_ segment: SegmentIndex) -> Bool {
    let entry = ledger[segment]
    return entry.state == .sealed || entry.state == .open && entry.stream.isRelocation
  }

  private func takeCandidates() -> [TombstoneSweep.Candidate] {
    var candidates: [TombstoneSweep.Candidate] = []
    var entries: [IndexEntry] = []
    while nextShard < index.shardCount, candidates.count < candidateLimit {
      index.snapshot(ofShard: nextShard, into: &entries)
      for entry in entries {
        let location = RecordLocation(rawValue: entry.locationWord)
        guard location.isTombstone,
          let segment = ledger.table.geometry.segment(containing: location.page),
          hasAllOlderSealed(segment)
        else { continue }
        candidates.append(
          TombstoneSweep.Candidate(
            fingerprint: entry.fingerprint, shard: nextShard, location: location,
            generation: ledger[segment].generation))
      }
      nextShard += 1
    }
    return candidates
  }

  /// Looks at the next pages of a summary; false where they are damaged.
  private func look(_ sweep: inout TombstoneSweep) async -> Bool {
    guard let (segment, generation) = sweep.current else { return true }
    let entry = ledger[segment]
    // Freed since, or freed and used again for what is newer.
    guard entry.state == .sealed, entry.generation == generation else {
      sweep.advance()
      sweep.expiredByteCount = 0
      return true
    }
    var records: [SummaryEntry] = []
    if sweep.facts == nil, entry.hasSummary {
      sweep.facts = await compactor.segmentReader.facts(of: segment, entry: entry)
    }
    if let facts = sweep.facts {
      let end = min(
        Int(facts.summaryPageCount.rawValue),
        sweep.nextSummaryPage + Relocation.summaryWindowPageCount)
      let pages = sweep.nextSummaryPage..<end
      if await compactor.segmentReader.readSummary(
        facts, pages: pages, of: segment, entry: entry, into: &records)
      {
        sweep.nextSummaryPage = end
        if end == Int(facts.summaryPageCount.rawValue) { sweep.advance() }
      } else {
        // What of it has been counted is counted again.
        sweep.expiredByteCount = 0
        sweep.facts = nil
      }
    }
    if sweep.current?.segment == segment, sweep.facts == nil {
      guard let all = await compactor.segmentReader.records(of: segment, entry: entry) else {
        if unreadable.insert(segment).inserted {
          log.health.logger.warning(
            "no tombstone can die: a segment cannot be read that may have what they delete",
            metadata: ["segment": "\(segment.rawValue)"])
        }
        return false
      }
      records = all
      sweep.advance()
    }
    for record in records {
      if sweep.shards.contains(index.shardIndex(of: record.hash)) { sweep.note(record) }
      if sweep.countsExpired, isExpired(record) {
        sweep.expiredByteCount += record.location.packedByteCount(
          payloadPageCount: segments.payloadPageCount)
      }
    }
    if sweep.current?.segment != segment, sweep.countsExpired {
      compactor.expiredByteCounts[segment] = sweep.expiredByteCount
      sweep.expiredByteCount = 0
    }
    return true
  }

  /// Whether a record has a value no more that the index still names.
  private func isExpired(_ record: SummaryEntry) -> Bool {
    record.expiryMilliseconds > 0 && index.names(record)
      && log.clock.verdict(record.expiryMilliseconds) == .expired
  }

  private func isSame(_ candidate: TombstoneSweep.Candidate) -> Bool {
    guard let segment = ledger.table.geometry.segment(containing: candidate.location.page) else {
      return false
    }
    return hasAllOlderSealed(segment)
      && (ledger[segment].generation == candidate.generation
        || PlantedBug.generationIgnored.isPlanted)
  }

  /// Lets the tombstones die that nothing needs.
  private func end(_ sweep: TombstoneSweep) {
    var hasDead = false
    // The generation tells whether it is still the same tombstone. One whose segment was freed and
    // used again since may be younger than what the sweep has seen.
    for candidate in sweep.unneeded
    where !PlantedBug.immortalTombstones.isPlanted && isSame(candidate)
      && index.replace(
        inShard: candidate.shard, fingerprint: candidate.fingerprint,
        expected: candidate.location.rawValue, with: 0)
    {
      segments.noteIndexed(.none, insteadOf: candidate.location)
      if segments.removeLive(candidate.location) { hasDead = true }
      deadCount += 1
      log.counters.add(log.counters.deadTombstones)
    }
    if hasDead { log.noteDeadSegment() }
  }
}
