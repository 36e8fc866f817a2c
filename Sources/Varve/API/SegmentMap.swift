/// The segments of a store that need not be open here.
public struct SegmentMap: Hashable, Sendable {
  /// The identity of the store, as hexadecimal text.
  public var uuid = ""
  /// The label of the store.
  public var label = ""
  /// The byte count of a segment.
  public var segmentByteCount = 0
  /// Every segment, in the order of the device.
  public var segments: [SegmentInfo] = []
  /// Whether another process holds the store, so that all this may be stale.
  public var isLive = false
  /// The holder's process, where it can be known.
  public var holderProcessID: Int32?
  /// Whether the holder only reads.
  public var isHolderReading = false
  /// What is damaged or could not be learnt, in words.
  public var findings: [String] = []

  /// Makes an empty map.
  public init() {}

  /// Whether it is known of every segment what is live in it.
  public var hasLiveCounts: Bool { segments.allSatisfy { $0.liveShare != nil } }

  /// The share of the whole store, from 0 to 1, that live records and checkpoints take; nil where
  /// that is not known of every segment.
  public var liveShare: Double? {
    let shares = segments.compactMap(\.liveShare)
    guard shares.count == segments.count, !shares.isEmpty else { return nil }
    return shares.reduce(0, +) / Double(shares.count)
  }

  /// Takes over what the holder of the store, who knows better, says of its segments: their state
  /// and what is live in them. What was read from the device of a segment (how many records were
  /// written to it) stays where it is still in the same use.
  public mutating func update(with newer: [SegmentInfo]) {
    for var info in newer where segments.indices.contains(info.index) {
      let old = segments[info.index]
      if info.generation == old.generation, info.state != .free, old.state != .free {
        info.recordCount = info.recordCount ?? old.recordCount
        info.usedByteCount = info.usedByteCount ?? old.usedByteCount
        info.firstSequence = info.firstSequence ?? old.firstSequence
        info.lastSequence = info.lastSequence ?? old.lastSequence
      }
      segments[info.index] = info
    }
  }
}
