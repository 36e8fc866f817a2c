import Console
import Varve

/// What a store says of its space, for people: how much is live, what was written for it and what
/// compaction did.
enum SpaceDescription {
  /// What is live, and what it takes.
  static func space(_ statistics: StoreStatistics) -> String {
    "\(size(statistics.liveByteCount)) live in \(size(statistics.usedByteCount)) of segments"
      + factor(statistics.spaceAmplification)
  }

  /// What was written since the open, cause by cause.
  static func written(_ statistics: StoreStatistics) -> String {
    let padding = statistics.paddingByteCount
    let summaries = statistics.summaryByteCount
    let causes: [(String, UInt64)] = [
      ("records", difference(statistics.frameByteCount, padding)), ("padding", padding),
      ("compaction", statistics.relocationByteCount),
      ("checkpoints", statistics.checkpointByteCount), ("summaries", summaries),
      ("metadata", difference(statistics.metadataByteCount, summaries)),
    ]
    let total = causes.reduce(0) { $0 + $1.1 }
    return "\(ByteSize(total)) for \(ByteSize(statistics.userByteCount)) of keys and values"
      + factor(statistics.writeAmplification) + ": "
      + causes.map { "\($0.0) \(ByteSize($0.1))" }.joined(separator: ", ")
  }

  /// What compaction did since the open, and what it could not keep from writers.
  static func compaction(_ statistics: StoreStatistics) -> String {
    let victimCount = statistics.compactedSegmentCount
    let mean = victimCount > 0 ? statistics.reclaimedByteCount / victimCount : 0
    return "\(victimCount) segments emptied"
      + (mean > 0 ? ", \(ByteSize(mean)) won by each" : "")
      + "; \(statistics.relocatedRecordCount) records moved, "
      + "\(statistics.deadTombstoneCount) tombstones died; writers waited "
      + "\(Description.rounded(Double(statistics.spaceWaitNanoseconds) / 1e9)) s for space"
  }

  /// What is left of a number that another is a part of. A running store counts on between the two.
  private static func difference(_ whole: UInt64, _ part: UInt64) -> UInt64 {
    whole >= part ? whole - part : 0
  }

  /// A ratio in words, where there is one.
  static func factor(_ ratio: Double) -> String {
    ratio > 0 ? " (\(Description.rounded(ratio)) x)" : ""
  }

  static func size(_ byteCount: Int) -> String { "\(ByteSize(UInt64(clamping: byteCount)))" }
}
