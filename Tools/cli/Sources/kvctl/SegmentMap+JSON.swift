import Console
import Varve

extension SegmentMap {
  /// The map for scripts; what is not known is left out.
  func json(path: String) -> JSONValue {
    func count(_ state: SegmentInfo.State) -> JSONValue {
      .count(segments.count { $0.state == state })
    }
    return [
      "ok": true, "path": .string(path), "uuid": .string(uuid), "label": .string(label),
      "live": .bool(isLive), "holderPid": holderProcessID.map { .count($0) } ?? .null,
      "holderReads": .bool(isHolderReading), "segmentBytes": .count(segmentByteCount),
      "freeSegments": count(.free), "openSegments": count(.open),
      "sealedSegments": count(.sealed),
      "liveShare": liveShare.map { .number(Self.rounded($0)) } ?? .null,
      "segments": .array(segments.map { Self.json($0) }),
      "findings": .array(findings.map { .string($0) }),
    ]
  }

  private static func rounded(_ share: Double) -> Double { (share * 10_000).rounded() / 10_000 }

  private static func json(_ info: SegmentInfo) -> JSONValue {
    let numbers: [(String, Int?)] = [
      ("usedBytes", info.usedByteCount), ("records", info.recordCount),
      ("liveRecords", info.liveRecordCount), ("liveTombstones", info.liveTombstoneCount),
      ("liveBytes", info.liveByteCount), ("newerSegments", info.newerSegmentCount),
      ("firstSeq", info.firstSequence.map { Int(clamping: $0) }),
      ("lastSeq", info.lastSequence.map { Int(clamping: $0) }),
    ]
    let object: JSONValue = ["index": .count(info.index), "state": .string(info.state.rawValue)]
    return object.adding(
      (info.stream.map { [.init("stream", .string($0.rawValue))] } ?? [])
        + [.init("generation", .count(info.generation))]
        + (info.liveShare.map { [.init("liveShare", .number(rounded($0)))] } ?? [])
        + numbers.compactMap { name, number in number.map { .init(name, .count($0)) } })
  }

  /// What a running store answered to `segments`.
  static func segments(inAnswer answer: JSONValue) -> [SegmentInfo] {
    let byteCount = answer["segmentBytes"]?.integer ?? 0
    return (answer["segments"]?.elements ?? []).compactMap { json in
      func number(_ name: String) -> Int? { json[name]?.integer.map { Int($0) } }
      guard let index = number("index"),
        let state = json["state"]?.text.flatMap({ SegmentInfo.State(rawValue: $0) })
      else { return nil }
      var info = SegmentInfo()
      info.index = index
      info.state = state
      info.stream = json["stream"]?.text.flatMap { SegmentInfo.Stream(rawValue: $0) }
      info.generation = UInt32(clamping: number("generation") ?? 0)
      info.byteCount = Int(byteCount)
      info.usedByteCount = number("usedBytes")
      info.recordCount = number("records")
      info.liveRecordCount = number("liveRecords")
      info.liveTombstoneCount = number("liveTombstones")
      info.liveByteCount = number("liveBytes")
      info.newerSegmentCount = number("newerSegments")
      info.firstSequence = number("firstSeq").map { UInt64(clamping: $0) }
      info.lastSequence = number("lastSeq").map { UInt64(clamping: $0) }
      return info
    }
  }
}
