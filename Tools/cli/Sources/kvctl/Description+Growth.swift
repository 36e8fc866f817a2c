import Console
import Varve

extension Description {
  /// What a store was and what it has become, or would.
  static func json(_ plan: GrowthPlan, isDone: Bool) -> JSONValue {
    [
      "ok": true, "dryRun": .bool(!isDone),
      "deviceBytes": .count(plan.byteCount), "newDeviceBytes": .count(plan.grownByteCount),
      "segmentBytes": .count(plan.segmentByteCount),
      "segments": .count(plan.segmentCount), "newSegments": .count(plan.grownSegmentCount),
      "usableBytes": .count(plan.usableByteCount),
      "newUsableBytes": .count(plan.grownUsableByteCount),
      "fillBytes": .count(plan.fillByteCount), "presentBytes": .count(plan.presentByteCount),
      "maximumBytes": .count(plan.maximumByteCount),
    ]
  }

  static func text(_ plan: GrowthPlan, isDone: Bool) -> String {
    func change(_ old: UInt64, _ new: UInt64) -> String { "\(ByteSize(old)) -> \(ByteSize(new))" }
    let fill =
      plan.fillByteCount > 0
      ? "\(ByteSize(plan.fillByteCount)) of zeros at the end of the file" : "nothing on a device"
    return table([
      (isDone ? "has grown" : "would grow", change(plan.byteCount, plan.grownByteCount)),
      (
        "segments",
        "\(plan.segmentCount) -> \(plan.grownSegmentCount) of "
          + "\(ByteSize(UInt64(plan.segmentByteCount)))"
      ),
      ("for records", change(plan.usableByteCount, plan.grownUsableByteCount)),
      (isDone ? "has filled" : "would fill", fill),
      ("at most", "\(ByteSize(plan.maximumByteCount))"),
    ])
  }
}
