// Which segment to compact next, as a pure function. Moving what is live in a segment of
// utilization u costs u and gives 1 - u back. Waiting makes it cheaper, the more so the younger
// what is in it: what has lived for long will live on. So the segment goes first whose cost
// declines least by waiting (Lomet and Luo, "Efficiently Reclaiming Space in a Log Structured
// Store", 2021, who know how often records were written; here their age has to do):
//
//   benefit = (1 - u)² × age / u
//
// With Rosenblum's and Ousterhout's (1 - u) × age / (1 + u) ("The Design and Implementation of a
// Log-Structured File System", 1992) a simulation of zipfian overwrites moved 12 % more, of uniform
// ones as much.

import VarveFormat

/// What the policy knows of a sealed segment.
struct VictimCandidate: Hashable {
  var segment: SegmentIndex
  /// The pages that its live records need, as a share of those that a segment has for records.
  var utilization: Double
  /// Sequence numbers given out since it was half full.
  var age: UInt64
}

/// Chooses victims.
enum VictimPolicy {
  /// The candidate that is worth most, among those that give back at least `minimumYield` of a
  /// segment; nil where none does. Of equals the first wins.
  static func choose(
    among candidates: some Sequence<VictimCandidate>, minimumYield: Double
  ) -> VictimCandidate? {
    var best: (candidate: VictimCandidate, score: Double)?
    for candidate in candidates where 1 - candidate.utilization >= minimumYield {
      let score = benefit(of: candidate)
      if score > best?.score ?? -1 { best = (candidate, score) }
    }
    return best?.candidate
  }

  static func benefit(of candidate: VictimCandidate) -> Double {
    let live = min(max(candidate.utilization, 0), 1)
    // A segment that has just been sealed is worth something, too; one with next to nothing live is
    // worth no more than its age says.
    return (1 - live) * (1 - live) * (Double(candidate.age) + 1) / max(live, 1e-3)
  }

  /// How full a segment is: what its live records need of the pages that it has for records.
  ///
  /// Records that compaction packed together cannot be packed better, so there the share of what
  /// was packed counts, or a mixture of sizes that fits badly would be moved again and again for
  /// nothing.
  static func utilization(
    liveByteCount: Int, of entry: SegmentEntry, payloadPageCount: Int
  ) -> Double {
    let payloadByteCount = max(1, payloadPageCount) * Limits.pageByteCount
    let packedByteCount = entry.fill > 0 ? entry.packedByteCount : payloadByteCount
    return min(1, Double(liveByteCount) / Double(packedByteCount))
  }
}
