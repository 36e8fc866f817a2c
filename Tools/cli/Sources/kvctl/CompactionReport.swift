import Console
import Varve

/// What a compaction has done: the store before and after it.
struct CompactionReport {
  /// A store at one moment.
  struct State {
    let statistics: StoreStatistics
    /// Segments that hold something: not those that are merely ready for writes.
    let usedSegmentCount: Int
    let usedByteCount: Int

    init(_ store: Store) {
      statistics = store.statistics
      let used = store.segments.filter {
        $0.state == .sealed || ($0.liveRecordCount ?? 0) + ($0.liveTombstoneCount ?? 0) > 0
      }
      usedSegmentCount = used.count
      usedByteCount = used.reduce(0) { $0 + $1.byteCount }
    }

    var freeSegmentCount: Int { statistics.segmentCount - usedSegmentCount }

    var spaceAmplification: Double {
      statistics.liveByteCount > 0
        ? Double(usedByteCount) / Double(statistics.liveByteCount) : 0
    }
  }

  let before: State
  let after: State
  let durationSeconds: Double

  private static func json(_ state: State) -> JSONValue {
    [
      "usedSegments": .count(state.usedSegmentCount),
      "freeSegments": .count(state.freeSegmentCount), "usedBytes": .count(state.usedByteCount),
      "liveBytes": .count(state.statistics.liveByteCount),
      "keys": .count(state.statistics.keyCount),
      "tombstones": .count(state.statistics.tombstoneCount),
      "spaceAmplification": .number(Description.rounded(state.spaceAmplification)),
    ]
  }

  /// How far a counter went.
  private func change(_ counter: KeyPath<StoreStatistics, UInt64>) -> UInt64 {
    let (old, new) = (
      before.statistics[keyPath: counter], after.statistics[keyPath: counter]
    )
    return new >= old ? new - old : 0
  }

  /// The names of what was counted are those of `kvctl stat`.
  var json: JSONValue {
    [
      "ok": true, "before": Self.json(before), "after": Self.json(after),
      "segments": .count(after.statistics.segmentCount),
      "compactedSegments": .count(change(\.compactedSegmentCount)),
      "freedSegments": .count(change(\.freedSegmentCount)),
      "relocatedRecords": .count(change(\.relocatedRecordCount)),
      "relocationBytes": .count(change(\.relocationByteCount)),
      "deadTombstones": .count(change(\.deadTombstoneCount)),
      "seconds": .number(Description.rounded(durationSeconds)),
    ]
  }

  private static func cells(_ name: String, _ state: State) -> [String] {
    [
      name, "\(state.usedSegmentCount)", "\(state.freeSegmentCount)",
      SpaceDescription.size(state.usedByteCount),
      SpaceDescription.size(state.statistics.liveByteCount),
      "\(Description.rounded(state.spaceAmplification)) x",
    ]
  }

  var text: String {
    let heading = ["", "segments in use", "free", "their bytes", "live bytes", "amplification"]
    let table = TextTable.text(
      [heading, Self.cells("before", before), Self.cells("after", after)], leftColumns: [0])
    return table + "\n\n"
      + "\(change(\.compactedSegmentCount)) segments emptied, "
      + "\(change(\.relocatedRecordCount)) records moved "
      + "(\(ByteSize(change(\.relocationByteCount)))), "
      + "\(change(\.deadTombstoneCount)) tombstones died, in "
      + "\(Description.rounded(durationSeconds)) s"
  }
}
