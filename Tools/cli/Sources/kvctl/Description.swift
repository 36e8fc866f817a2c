import Console
import Varve

/// What the store says of itself, as JSON with exact numbers and as text for people.
enum Description {
  static func json(_ info: StoreInfo, path: String) -> JSONValue {
    [
      "ok": true, "path": .string(path), "uuid": .string(info.uuid),
      "label": .string(info.label), "formatVersion": .count(info.formatVersion),
      "deviceBytes": .count(info.deviceByteCount),
      "presentBytes": .count(info.presentByteCount),
      "growableBytes": .count(info.growableByteCount),
      "maximumBytes": .count(info.maximumByteCount),
      "segmentBytes": .count(info.segmentByteCount), "segments": .count(info.segmentCount),
      "freeSegments": .count(info.freeSegmentCount),
      "openSegments": .count(info.openSegmentCount),
      "sealedSegments": .count(info.sealedSegmentCount),
      "maximumValueBytes": .count(info.maximumValueByteCount),
      "clean": .bool(info.wasClosedCleanly), "lastSeq": .count(info.lastSequence),
      "clockMilliseconds": .count(info.clockMilliseconds),
      "hasExpiries": .bool(info.hasExpiries), "clockHeld": .bool(info.isClockHeld),
      "opens": .count(info.openCount), "createdMilliseconds": .count(info.createdMilliseconds),
      "checkpoint": .bool(info.hasCheckpoint),
      "validSuperblocks": .count(info.validSuperblockCount), "live": .bool(info.isLive),
      "holderPid": info.holderProcessID.map { .count($0) } ?? .null,
      "holderReads": .bool(info.isHolderReading),
      "findings": .array(info.findings.map { .string($0) }),
    ]
  }

  /// Who holds a store.
  private static func state(_ info: StoreInfo) -> String {
    guard info.isLive else { return "not in use" }
    return state(holder: info.holderProcessID, isReading: info.isHolderReading)
  }

  /// What is said of a store in use.
  static func state(holder: Int32?, isReading: Bool) -> String {
    let holder = holder.map { " by process \($0)" } ?? ""
    return "live, may be stale: in use\(holder)\(isReading ? ", for reading" : "")"
  }

  /// Where the TTL clock stands, and whether it wants a word.
  private static func clock(_ info: StoreInfo) -> String {
    guard info.hasExpiries else { return "no record expires" }
    let mark = "mark of expiry at \(Timestamp.text(info.clockMilliseconds))"
    return info.isClockHeld ? "\(mark); HELD: the wall clock is far ahead. \(remedy)" : mark
  }

  /// The same, of an open.
  static func clock(_ report: RecoveryReport) -> String {
    let time = Timestamp.text(report.clockMilliseconds)
    guard let seconds = report.heldClockJumpSeconds else { return time }
    return "\(time); HELD: the wall clock is \(OpenReport.days(seconds)) ahead. \(remedy)"
  }

  private static let remedy =
    "Nothing expires by it until `kvctl recover --accept-clock` confirms it"

  /// How large a store is, and how large what lies there.
  private static func size(_ info: StoreInfo) -> String {
    let size = "\(ByteSize(info.deviceByteCount))"
    guard info.presentByteCount != info.deviceByteCount else { return size }
    let change =
      info.presentByteCount < info.deviceByteCount
      ? "cut short"
      : info.growableByteCount > 0
        ? "the rest is not used; `kvctl resize` takes it" : "the rest is not used"
    return "\(size); there are \(ByteSize(info.presentByteCount)): \(change)"
  }

  static func text(_ info: StoreInfo, path: String) -> String {
    let used = info.segmentCount - info.freeSegmentCount
    let percent = info.segmentCount > 0 ? used * 100 / info.segmentCount : 0
    let isOpen = info.isLive && !info.isHolderReading
    let rows = [
      ("store", path + (info.label.isEmpty ? "" : " (\(info.label))")),
      ("state", state(info)),
      (
        "last shutdown",
        info.wasClosedCleanly ? "clean" : isOpen ? "open" : "not clean: will be recovered"
      ),
      ("size", size(info)),
      (
        "segments",
        "\(info.segmentCount) of \(ByteSize(UInt64(info.segmentByteCount))): "
          + "\(info.sealedSegmentCount) sealed, \(info.openSegmentCount) open, "
          + "\(info.freeSegmentCount) free (\(percent) % in use)"
      ),
      ("longest value", "\(ByteSize(UInt64(info.maximumValueByteCount)))"),
      ("last sequence", info.wasClosedCleanly ? "\(info.lastSequence)" : "not recorded"),
      ("clock", clock(info)),
      ("checkpoint", info.hasCheckpoint ? "yes" : "no"),
      ("superblocks", "\(info.validSuperblockCount) of 4 valid"),
      ("opened", "\(info.openCount) times"),
      ("format", "version \(info.formatVersion), UUID \(info.uuid)"),
    ]
    return table(rows + info.findings.map { ("DAMAGE", $0) })
  }

  static func json(_ statistics: StoreStatistics) -> JSONValue {
    let ratios: [JSONValue.Member] = [
      .init("indexBytesPerKey", .number(rounded(statistics.indexBytesPerKey))),
      .init("writeAmplification", .number(rounded(statistics.writeAmplification))),
      .init("spaceAmplification", .number(rounded(statistics.spaceAmplification))),
    ]
    return .object(
      StoreMetric.all.map { .init($0.name, .count($0.value(in: statistics))) } + ratios)
  }

  static func text(_ statistics: StoreStatistics, health: StoreHealth) -> String {
    let used = statistics.segmentCount - statistics.freeSegmentCount
    func size(_ byteCount: Int) -> String { "\(ByteSize(UInt64(max(0, byteCount))))" }
    return table([
      ("health", health.rawValue),
      ("keys", "\(statistics.keyCount), and \(statistics.tombstoneCount) tombstones"),
      (
        "sequence",
        "\(statistics.lastSequence), durable up to \(statistics.durableSequence)"
      ),
      (
        "segments",
        "\(used) of \(statistics.segmentCount) in use, \(statistics.reservedSegmentCount) reserved"
      ),
      ("space", SpaceDescription.space(statistics)),
      ("written", SpaceDescription.written(statistics)),
      ("compaction", SpaceDescription.compaction(statistics)),
      (
        "memory",
        "index \(size(statistics.indexByteCount))\(perKey(statistics)), "
          + "cache \(size(statistics.cacheByteCount)), "
          + "buffers \(size(statistics.bufferByteCount + statistics.readByteCount)), "
          + "budget \(size(statistics.memoryBudget))"
      ),
      (
        "since the open",
        "\(statistics.putCount) puts, \(statistics.deleteCount) deletes, "
          + "\(statistics.getCount) gets, \(statistics.flushCount) flushes, "
          + "\(statistics.slowRequestCount) slow requests, "
          + "\(statistics.corruptReadCount) damaged records read"
      ),
    ])
  }

  /// With fewer keys the index's smallest shape outweighs them, and the share says nothing.
  private static let leastKeyCountForShare = 100_000

  private static func perKey(_ statistics: StoreStatistics) -> String {
    guard statistics.keyCount + statistics.tombstoneCount >= leastKeyCountForShare else {
      return ""
    }
    return " (\(rounded(statistics.indexBytesPerKey)) bytes a key)"
  }

  /// Two decimals are what these ratios are good for.
  static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

  static func table(_ rows: [(name: String, value: String)]) -> String {
    let width = rows.map(\.name.count).max() ?? 0
    return rows.map { row in
      row.name + String(repeating: " ", count: width - row.name.count + 2) + row.value
    }.joined(separator: "\n")
  }
}
