// What a running store answers on its socket: a line is asked, one object of JSON is the answer.
//
//   stat      {"ok":true,"stat":{…},…}: the numbers of StoreMetric.all, under those names
//   segments  {"ok":true,…,"segments":[{…},…]}: what SegmentInfo says, where it is known
//
// Names are stable: members are added, never changed. Both are made from what the store counts
// anyway, and take no lock for longer than a few loads.

import VarveFormat
import VarveIO

/// The answers of a store.
enum StatisticsAnswer {
  /// Segments that are described at a time.
  private static let chunkSegmentCount = 256

  /// Answers a line; nil for the core is a store that is gone.
  static func answer(to line: String, _ core: StoreCore?) -> LocalAnswer {
    guard let core else { return failure("closed", "the store is closed") }
    switch line {
    case "stat": return LocalAnswer(ended(stat(core)))
    case "segments": return segments(core)
    default: return failure("usage", "ask for stat or segments")
    }
  }

  private static func ended(_ object: consuming JSONText) -> [UInt8] {
    object.end()
    return object.bytes + [10]
  }

  private static func failure(_ code: String, _ message: String) -> LocalAnswer {
    var object = JSONText()
    object.add("ok", false)
    object.add("code", code)
    object.add("message", message)
    return LocalAnswer(ended(object))
  }

  /// The beginning of each answer: which store it is of.
  private static func identity(_ core: StoreCore) -> JSONText {
    var object = JSONText()
    object.add("ok", true)
    object.add("uuid", core.identity.uuid)
    object.add("label", core.identity.label)
    object.add("readOnly", core.isReadOnly)
    return object
  }

  private static func stat(_ core: StoreCore) -> JSONText {
    let statistics = core.statistics()
    var object = identity(core)
    object.add("outcome", core.report.outcome.rawValue)
    object.add("recoverySeconds", core.report.durationSeconds)
    object.add("stat") { stat in
      for metric in StoreMetric.all { stat.add(metric.name, metric.value(in: statistics)) }
      stat.add("health", core.health.current.rawValue)
    }
    return object
  }

  private static func segments(_ core: StoreCore) -> LocalAnswer {
    let snapshot = core.segmentSnapshot()
    var position = 0
    var isEnded = false
    return LocalAnswer {
      guard !isEnded else { return nil }
      var bytes: [UInt8] = []
      if position == 0 {
        var object = identity(core)
        object.add("segmentBytes", core.geometry.segmentByteCount)
        object.beginArray("segments")
        bytes = object.bytes
      }
      let end = min(position + chunkSegmentCount, snapshot.count)
      for index in position..<end {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        bytes += text(snapshot[SegmentIndex(UInt32(index))])
      }
      position = end
      if position == snapshot.count {
        isEnded = true
        bytes += Array("]}\n".utf8)
      }
      return bytes
    }
  }

  private static func text(_ info: SegmentInfo) -> [UInt8] {
    var object = JSONText()
    object.add("index", info.index)
    object.add("state", info.state.rawValue)
    if let stream = info.stream { object.add("stream", stream.rawValue) }
    object.add("generation", info.generation)
    object.add("usedBytes", info.usedByteCount)
    object.add("records", info.recordCount)
    object.add("liveRecords", info.liveRecordCount)
    object.add("liveTombstones", info.liveTombstoneCount)
    object.add("liveBytes", info.liveByteCount)
    object.add("newerSegments", info.newerSegmentCount)
    object.add("firstSeq", info.firstSequence)
    object.add("lastSeq", info.lastSequence)
    object.end()
    return object.bytes
  }
}
