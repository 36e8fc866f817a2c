// Compaction: a victim's live records move to a segment of another stream, and the victim is freed
// by the code that frees every segment in which nothing is live. Records go in steps of up to a
// megabyte, several steps at once, each at a stage of its own:
//
//   choose  the segment that is worth most                        (VictimPolicy)
//   look    which of its records the index still names            (its summary, RelocationRead)
//   read    their pages, and verify every checksum                (RelocationRead, RelocationBatch)
//   copy    into frames of the stream's open segment              (RelocationOutput)
//   write   the frames, then flush                                (RelocationWrite)
//   swing   the index entries that have not changed meanwhile     (Compactor+Write)
//
// Reading and writing are tasks of their own; all else is done by the maintenance task in between
// its other work, in moments, so the log is looked after at all times.
//
// DURABILITY: only sealed segments are victims, and all frames of those had been flushed, so
// nothing above the durable watermark is ever copied. The copies are flushed before the index names
// them; a record that is replaced in between keeps its new place, because the entry is compared;
// the victim is freed, durably, only once its exact count of live records is zero, which it is not
// while a record in it was superseded by one that a crash could still lose. Steps are completed in
// the order in which they were copied, so what counts of an output is always a prefix of it.

import Logging
import VarveFormat
import VarveIO

/// Moves live records together. Belongs to the maintenance task.
///
/// SAFETY: touched by the maintenance task alone; what it starts reports through locked results.
final class Compactor: @unchecked Sendable {
  let device: any BlockDevice
  let log: LogAppender
  let ledger: SegmentLedger
  let cache: RecordCache
  let hashKey: HashKey
  let thread: WorkerThread
  /// What all steps together may hold, but for one that has to move a larger record.
  let memoryByteLimit: Int
  /// What a step reads at most, but for its last record.
  let stepByteCount: Int

  /// What the pages of a step are read into, and what frames are made in.
  let readBuffers: BufferPool
  let frameBuffers: BufferPool

  /// What compaction fills, a segment for each stream.
  var outputs: [RelocationOutput]
  /// Segments that have been opened for streams whose open segment will soon be full.
  var spares: [StreamKind: PreparedSegment] = [:]
  /// The victim that is being read.
  var victim: Relocation?
  /// Steps that are being read or have been, in order.
  var reads: [RelocationRead] = []
  /// A step of which the rest waits for a free segment.
  var unplaced: RelocationBatch?
  /// Steps that are being written or have been, in order.
  var writes: [RelocationWrite] = []
  /// Victims of which not everything has been moved.
  private(set) var busyVictims: Set<SegmentIndex> = []
  /// Those of them that are given up, because something in them is damaged: copies of what came
  /// before that may still be on their way.
  private var damagedVictims: Set<SegmentIndex> = []
  /// Segments that cannot be compacted, because something in them is damaged.
  var unmovable: Set<SegmentIndex> = []
  /// The segments that were worth most when all were looked at.
  private var shortlist = VictimShortlist()
  /// Victims in which nothing is left to move, and that are not empty: what their records were
  /// superseded by is not durable yet. With what was durable then: until more is, they stay so.
  var undead: [SegmentIndex: SequenceNumber] = [:]
  /// Bytes of segments whose records have expired, as the last look found them.
  var expiredByteCounts: [SegmentIndex: Int] = [:]
  /// Whether there was no segment to go on with: it waits until one is freed.
  var isStuck = false
  /// Bytes of segments that have been won since the log was last told.
  var wonByteCount = 0
  /// Victims chosen since the store was opened.
  var victimCount = 0
  /// Writes that failed.
  var failureCount = 0
  let openEpoch: UInt32
  let rateLimit: RateLimit?

  init(
    environment: StoreEnvironment, log: LogAppender, ledger: SegmentLedger, cache: RecordCache,
    hashKey: HashKey, openEpoch: UInt32, thread: WorkerThread, memoryByteLimit: Int,
    bytesPerSecond: Int?
  ) {
    device = log.device
    self.openEpoch = openEpoch
    self.log = log
    self.ledger = ledger
    self.cache = cache
    self.hashKey = hashKey
    self.thread = thread
    self.memoryByteLimit = memoryByteLimit
    // One more is being copied, and frames and runs of pages are a little larger than a step.
    stepByteCount = memoryByteLimit / (Compactor.readCount + Compactor.writeCount + 2)
    // A step may end with a record that goes beyond its bytes.
    readBuffers = BufferPool(
      byteCount: stepByteCount + stepByteCount / 8, capacity: Compactor.readCount + 1)
    let framePageCount = min(
      LogAppender.framePageCount, Int(log.geometry.segmentPageCount.rawValue),
      max(4, stepByteCount / Limits.pageByteCount))
    let frameByteCount = (framePageCount + 1) * Limits.pageByteCount
    frameBuffers = BufferPool(
      byteCount: frameByteCount,
      capacity: Compactor.writeCount * (stepByteCount / frameByteCount + 1))
    rateLimit = bytesPerSecond.map { RateLimit(bytesPerSecond: $0, environment: environment) }
    let count = Compactor.streamCount(segmentCount: ledger.table.geometry.segmentCount)
    outputs = StreamKind.relocations.prefix(count).map(RelocationOutput.init)
  }

  /// Steps that have been read or are being read, and steps that are being written, at most.
  static let readCount = 3
  static let writeCount = 3

  /// Age classes of relocated records: each keeps a segment open, so few segments have few.
  static func streamCount(segmentCount: UInt32) -> Int {
    segmentCount < 128 ? 2 : segmentCount < 512 ? 3 : 4
  }

  var geometry: Geometry { log.geometry }

  /// More places than these do not fail on a device that is worth writing to.
  var isGivenUp: Bool { failureCount > Maintenance.maximumRewriteCount }

  /// Whether nothing is being moved.
  var isIdle: Bool { victim == nil && reads.isEmpty && unplaced == nil && writes.isEmpty }

  /// Whether it is only the bound of bytes per second that holds compaction back; that wakes it.
  var waitsForRate: Bool { rateLimit?.isExceeded ?? false }

  /// Does what can be done without waiting for the device.
  ///
  /// `minimumYield` is the least share of a segment that a new victim must give back; with nil none
  /// is chosen, and what has begun is completed.
  func advance(minimumYield: Double?) async throws(IOError) {
    guard !isGivenUp, !log.isPoisoned else { return }
    // A reader or a discard may have let go of one.
    if isStuck, ledger.hasUsableFree { isStuck = false }
    while let result = writes.first?.step.value {
      try await complete(writes.removeFirst(), result)
    }
    readOn(minimumYield)
    while !isStuck, writes.count < Compactor.writeCount, let batch = takeStep() {
      guard try await place(batch) else { break }
    }
    readOn(minimumYield)
    if isIdle { releaseVictims() }
  }

  /// The next step that can be copied, if there is one.
  private func takeStep() -> RelocationBatch? {
    if let unplaced { return unplaced }
    while reads.first?.isFollowed == true, let result = reads.first?.step.value {
      let read = reads.removeFirst()
      rateLimit?.spend(result?.readByteCount ?? 0)
      if let batch = result { return batch }
      setAside(read.victim)
      damagedVictims.insert(read.victim)
      releaseDamagedVictims()
    }
    return nil
  }

  /// Gives up what is not being written: its records stay where they are.
  func giveUpReads() async {
    victim = nil
    if let unplaced { readBuffers.giveBack(unplaced.buffer) }
    unplaced = nil
    for read in reads {
      if let batch = await read.step.finished() { readBuffers.giveBack(batch.buffer) }
    }
    reads = []
  }

  /// Bytes of what is being read, copied and written.
  var heldByteCount: Int {
    reads.reduce(unplaced?.buffer.byteCount ?? 0) { $0 + ($1.end.readByteCount ?? stepByteCount) }
      + writes.reduce(0) { $0 + $1.byteCount }
  }

  /// Waits for what is under way and lets go of it.
  func stop() async {
    await giveUpReads()
    for write in writes { _ = await write.step.finished() }
    writes = []
    releaseVictims()
  }

  /// Keeps a victim as it is until it is released, by pinning it as a reader does.
  ///
  /// DURABILITY: all of it may die meanwhile. Were it freed and used again, a newer record could
  /// come to lie in the place of one that has been copied, and the index would be swung from that
  /// to the copy, which is older.
  func hold(_ victim: SegmentIndex) {
    guard busyVictims.insert(victim).inserted, !PlantedBug.generationIgnored.isPlanted else {
      return
    }
    log.segments.pin(victim)
  }

  /// Lets go of a victim.
  func release(_ victim: SegmentIndex) {
    guard busyVictims.remove(victim) != nil, !PlantedBug.generationIgnored.isPlanted else {
      return
    }
    log.segments.unpin(victim)
    // It may have been passed over while it was pinned.
    if log.segments.liveByteCount(of: victim) == 0 { log.noteDeadSegment() }
  }

  func releaseVictims() {
    for victim in busyVictims { release(victim) }
    damagedVictims = []
  }

  /// Lets go of damaged victims of which no copies are on their way any more.
  func releaseDamagedVictims() {
    for victim in damagedVictims where !writes.contains(where: { $0.victim == victim }) {
      damagedVictims.remove(victim)
      release(victim)
    }
  }

  /// Whether compaction would free a segment if it were let.
  func canReclaim(minimumYield: Double) -> Bool {
    guard !isGivenUp, !isStuck else { return false }
    return !isIdle || chooseVictim(minimumYield: minimumYield) != nil
  }

  /// The segment that is worth most, if one gives back as much.
  func chooseVictim(minimumYield: Double) -> VictimCandidate? {
    shortlist.choose(
      minimumYield: minimumYield, turnoverCount: ledger.turnoverCount,
      everything: ledger.sealed.lazy.compactMap { [self] in candidate($0) },
      again: { [self] in candidate($0) })
  }

  /// What speaks for a segment; nil where it cannot be a victim.
  private func candidate(_ segment: SegmentIndex) -> VictimCandidate? {
    guard ledger[segment].state == .sealed, ledger[segment].stream != .checkpoint,
      !unmovable.contains(segment),
      !busyVictims.contains(segment) || PlantedBug.victimShared.isPlanted,
      undead[segment].map({ $0 != log.durableSequence }) ?? true
    else { return nil }
    let live = log.segments.liveByteCount(of: segment)
    // What has nothing live left is freed without being read.
    guard live > 0 else { return nil }
    let sequence = log.lastSequence.rawValue
    let begun = ledger.beginSequences[segment]?.rawValue ?? 0
    let expired = expiredByteCounts[segment] ?? 0
    return VictimCandidate(
      segment: segment,
      utilization: VictimPolicy.utilization(
        liveByteCount: max(0, live - expired), of: ledger[segment],
        payloadPageCount: log.segments.payloadPageCount),
      age: sequence > begun ? sequence - begun : 0)
  }

  var segmentReader: SegmentReader {
    SegmentReader(device: device, geometry: geometry, uuid: log.uuid, hashKey: hashKey)
  }

  /// How far the outputs that are not sealed have been flushed.
  var flushedOutputs: [(segment: SegmentIndex, pageCount: Int)] { outputs.flatMap(\.flushedEnds) }

  /// Takes free segments for the streams whose open segment is more than half full: opened along
  /// with other changes they cost no write of their own.
  /// So many free segments are left beyond the reserve.
  func takeSpares(leaving headroom: Int) -> [(SegmentIndex, StreamKind)] {
    var taken: [(SegmentIndex, StreamKind)] = []
    for output in outputs where spares[output.stream] == nil && ledger.headroom > headroom {
      guard let current = output.current,
        current.nextPage * 2 > Int(geometry.segmentPageCount.rawValue),
        let segment = ledger.takeUnpinned()
      else { continue }
      taken.append((segment, output.stream))
    }
    return taken
  }

  /// Keeps a segment that was opened for a stream.
  func provide(_ spare: PreparedSegment, for stream: StreamKind) {
    log.segments.setBufferedFloor(.max, of: spare.segment)
    spares[stream] = spare
  }

  /// Takes note of a larger store.
  func grow(toSegmentCount segmentCount: UInt32) {
    let count = Compactor.streamCount(segmentCount: segmentCount)
    outputs += StreamKind.relocations.prefix(count).dropFirst(outputs.count)
      .map(RelocationOutput.init)
    isStuck = false
  }

  /// Forgets what was known of segments that are free now.
  func forget(_ freed: [SegmentIndex]) {
    unmovable.subtract(freed)
    for segment in freed {
      expiredByteCounts[segment] = nil
      undead[segment] = nil
    }
    isStuck = false
  }

  /// A segment of which something cannot be read is not touched again: what is lost in it is named
  /// by its summary, and whatever heals lets it die as a whole.
  func setAside(_ victim: SegmentIndex) {
    unmovable.insert(victim)
    log.health.setDegraded()
    log.health.report(
      .corruptionFound(
        byteOffset: geometry.firstPage(of: victim).rawValue * UInt64(Limits.pageByteCount)))
    log.health.logger.error(
      "a segment cannot be compacted: a part of it is damaged",
      metadata: ["segment": "\(victim.rawValue)"])
  }
}
