// Which segment to compact next, as a pure function: cost-benefit (Rosenblum and Ousterhout, "The
// Design and Implementation of a Log-Structured File System", 1992). Moving what is live in a
// segment of utilization u costs reading it and writing u of it, and gives 1 - u back, for as long
// as what is moved stays live, which its age foretells:
//
//   benefit / cost = (1 - u) * age / (1 + u)

import VarveFormat

/// What the policy knows of a sealed segment.
struct VictimCandidate: Hashable {
  var segment: SegmentIndex
  /// The pages that its live records need, as a share of those that a segment has for records.
  var utilization: Double
  /// Sequence numbers given out since it was begun.
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
    let utilization = min(max(candidate.utilization, 0), 1)
    // A segment that has just been sealed is worth something, too.
    return (1 - utilization) * (Double(candidate.age) + 1) / (1 + utilization)
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
