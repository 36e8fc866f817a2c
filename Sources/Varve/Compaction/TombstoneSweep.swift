import VarveFormat

/// One sweep for tombstones that nothing needs any more: those of which no segment holds an older
/// record of their key. The tombstones of some index shards are candidates; a pass over the
/// summaries of all segments finds the ones that are still needed.
///
/// Memory: 32 bytes a candidate, as many as `Sweeper` allows, and 16 a segment.
struct TombstoneSweep {
  /// A tombstone that the index names.
  struct Candidate {
    var fingerprint: UInt64
    var shard: Int
    var location: RecordLocation
    /// The use of its segment: in another one its place may hold another tombstone.
    var generation: Generation
    var isNeeded = false
  }

  /// Sorted by fingerprint.
  private(set) var candidates: [Candidate]
  /// The shards that the candidates are of.
  let shards: Range<Int>
  /// Segments that have not been looked at yet, with their uses.
  private(set) var remaining: [(segment: SegmentIndex, generation: Generation)]
  /// The segment that is being looked at.
  var facts: SummaryFacts?
  var nextSummaryPage = 0
  /// Whether what has expired is counted on the way, and the bytes in the segment so far.
  let countsExpired: Bool
  var expiredByteCount = 0

  init(
    candidates: [Candidate], shards: Range<Int>,
    segments: [(segment: SegmentIndex, generation: Generation)], countsExpired: Bool
  ) {
    self.countsExpired = countsExpired
    self.candidates = candidates.sorted { $0.fingerprint < $1.fingerprint }
    self.shards = shards
    remaining = segments.reversed()
  }

  /// The segment to look at.
  var current: (segment: SegmentIndex, generation: Generation)? { remaining.last }

  /// Goes on to the next segment.
  mutating func advance() {
    remaining.removeLast()
    facts = nil
    nextSummaryPage = 0
  }

  /// Notes what a segment holds: any other record of a candidate's key keeps the candidate.
  ///
  /// That may be an older tombstone, which does no harm without the newer one; it is kept all the
  /// same, so that nothing has to be known of its own older records.
  mutating func note(_ record: SummaryEntry) {
    var (low, high) = (0, candidates.count)
    while low < high {
      let middle = (low + high) / 2
      if candidates[middle].fingerprint < record.hash.fingerprint {
        low = middle + 1
      } else {
        high = middle
      }
    }
    // Keys of two shards may share a fingerprint: then all of them are needed.
    while low < candidates.count, candidates[low].fingerprint == record.hash.fingerprint {
      if candidates[low].location != record.location, !PlantedBug.forgottenOlderRecord.isPlanted {
        candidates[low].isNeeded = true
      }
      low += 1
    }
  }

  /// Candidates that nothing needs.
  var unneeded: some Sequence<Candidate> { candidates.lazy.filter { !$0.isNeeded } }
}
