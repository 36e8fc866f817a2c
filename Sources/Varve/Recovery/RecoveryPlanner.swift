import VarveFormat
import VarveIO

/// Says what a recovery would read and hold, from what it would look at first: the table, the root
/// of the checkpoint, a page of each sealed segment. Counts as recovery does, and what it leaves
/// out of its report (superblocks, table, headers), so that it never reads more than planned where
/// nothing is damaged.
struct RecoveryPlanner {
  let device: any BlockDevice
  let superblock: Superblock

  private var geometry: Geometry { superblock.geometry }

  /// The root of the checkpoint that recovery would use, and what the segments were when it began.
  private struct Checkpoint {
    var root: CheckpointRoot
    var generations: [Generation]

    /// Whether it has everything in a sealed segment, as `UserLogRecovery` judges it.
    func covers(_ segment: SegmentIndex, _ entry: SegmentEntry, _ facts: SummaryFacts) -> Bool {
      guard generations[Int(segment.rawValue)] == entry.generation else { return false }
      return entry.stream.isRelocation
        || root.replaySegment != segment && facts.firstSequence <= root.cutSequence
    }
  }

  func plan() async -> RecoveryPlan {
    let (table, _) = await SegmentTable.read(
      geometry: geometry, uuid: superblock.uuid, from: device)
    let checkpoint = await checkpoint(table)
    let reader = SegmentReader(
      device: device, geometry: geometry, uuid: superblock.uuid,
      hashKey: HashKey(low: superblock.hashKeyLow, high: superblock.hashKeyHigh))
    var plan = RecoveryPlan(
      wasClean: superblock.shutdown == .clean, byteCountToRead: 0, memoryByteCount: 0,
      estimatedSeconds: 0, frameSegmentCount: 0, summarySegmentCount: 0,
      usesCheckpoint: checkpoint != nil)
    var recordCount = Int(checkpoint?.root.entryCount ?? 0)
    // Copies of the superblock at the old end too where the device was grown; two slots of the
    // table in two copies.
    var pageCount = UInt64(Superblock.copyCount + 2) + 4 * UInt64(geometry.tablePageCount.rawValue)
    if let root = checkpoint?.root {
      let limit = UInt64(root.segmentCount) * UInt64(geometry.segmentPageCount.rawValue)
      pageCount += 1 + min(limit, root.pageCount + UInt64(FrameScanner.windowPageCount))
    }
    for (segment, entry) in table.entries where entry.state != .free && entry.stream != .checkpoint
    {
      pageCount += 1
      guard entry.hasSummary, let facts = await reader.facts(of: segment, entry: entry) else {
        plan.frameSegmentCount += 1
        pageCount += UInt64(geometry.segmentPageCount.rawValue)
        // A record takes at least 48 bytes with its share of the page.
        recordCount += geometry.segmentByteCount / 512
        continue
      }
      if let checkpoint, checkpoint.covers(segment, entry, facts) { continue }
      plan.summarySegmentCount += 1
      pageCount += 1 + UInt64(facts.summaryPageCount.rawValue)
      recordCount += Int(facts.recordCount)
    }
    plan.byteCountToRead = pageCount * UInt64(Limits.pageByteCount)
    plan.memoryByteCount = UInt64(
      RecoveredIndex.neededByteCount(recordCount: recordCount) + 2 * geometry.segmentByteCount / 8)
    plan.estimatedSeconds =
      Double(plan.byteCountToRead) / (await measureBandwidth())
      + Double(recordCount) * Maintenance.replaySecondsPerRecord
    return plan
  }

  private func checkpoint(_ table: SegmentTable) async -> Checkpoint? {
    guard let reference = superblock.checkpoint else { return nil }
    let loader = CheckpointLoader(
      device: device, geometry: geometry, uuid: superblock.uuid,
      checksum: Checksum(uuid: superblock.uuid), table: table)
    guard let root = await loader.root(reference),
      let generations = await loader.generations(reference, root: root)
    else { return nil }
    return Checkpoint(root: root, generations: generations)
  }

  /// Bytes a second of a few large reads.
  private func measureBandwidth() async -> Double {
    let clock = StoreEnvironment().monotonicNanoseconds
    let pageCount = min(256, Int(geometry.segmentPageCount.rawValue))
    let buffer = PageBuffer(pageCount: pageCount)
    let start = clock()
    var byteCount = 0
    for segment in 0..<min(8, geometry.segmentCount) {
      let page = geometry.firstPage(of: SegmentIndex(segment))
      guard await device.read(pageCount, pagesAt: page, into: buffer) == nil else { continue }
      byteCount += pageCount * Limits.pageByteCount
    }
    let nanoseconds = max(1, clock() - start)
    return max(1_048_576, Double(byteCount) * 1e9 / Double(nanoseconds))
  }
}
