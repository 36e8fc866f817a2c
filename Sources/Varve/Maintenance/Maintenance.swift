// The one task that changes the table and the superblock of an open store, so that nothing else
// needs to order those writes. It sleeps until the log raises its signal, then does all that is
// due:
//
//   rewrite   records whose write failed                  (Maintenance+Rewrite)
//   reserve   sequence numbers, the next segment          (this file)
//   clock     the mark of the TTL clock, where asked for  (this file)
//   seal      finished segments                           (Maintenance+Segments)
//   free      segments in which nothing is live           (Maintenance+Segments)
//   checkpoint, when due or asked for                     (Maintenance+Checkpoint)
//   quiet     a log that has been idle: write out, watermark

#if canImport(Glibc)
  import Glibc
#endif
import Logging
import Synchronization
import VarveFormat
import VarveIO

/// A request to the maintenance task.
enum MaintenanceCommand {
  /// Writes a checkpoint now.
  case checkpoint(WriteWaiter)
  /// Compacts until nothing is worth moving.
  case compact(WriteWaiter)
  /// Lets the store have the size of this geometry, for which the device has the bytes.
  case grow(Geometry, WriteWaiter)
  /// Finishes everything, marks the store clean and ends the task.
  case close(WriteWaiter)
  /// Ends the task without marking the store clean.
  case abandon
}

/// The background work of an open store. Its fields belong to its one task.
///
/// SAFETY: `commands` has its own lock; all other mutable fields are touched only by `run`.
final class Maintenance: @unchecked Sendable {
  let device: any BlockDevice
  let environment: StoreEnvironment
  let log: LogAppender
  let index: RecordIndex
  let segments: SegmentDirectory
  let counters: StoreCounters
  let health: HealthMonitor
  let clock: StoreClock
  let signal: Signal
  let options: StoreOptions
  let hashKey: HashKey
  let cache: RecordCache
  let adjustMemory: @Sendable () -> Void
  /// Bytes of records that a step of compaction moves, and as many again that it reads.
  let stepByteCount: Int
  let thread: WorkerThread

  var superblock: Superblock
  var table: SegmentTable
  /// Segments that may be put to use, the next one last.
  var freeSegments: [SegmentIndex] = []
  /// Segments of a checkpoint that is being written and does not count yet.
  var unpublishedCheckpoint: [SegmentIndex] = []
  /// Segments of the user stream in the order of the log, free ones excluded.
  var userOrder: [SegmentIndex]
  /// Segments of relocated records, free ones excluded.
  var relocationSegments: [SegmentIndex]
  /// What compaction fills, a segment for each stream.
  var outputs: [RelocationOutput]
  /// What compaction is at.
  var relocation: Relocation?
  /// What is being read for the next step of compaction.
  var prefetch: RelocationPrefetch?
  /// Victims of which not everything has been moved.
  var busyVictims: Set<SegmentIndex> = []
  /// Segments that cannot be compacted, because something in them is damaged.
  var unmovable: Set<SegmentIndex> = []
  /// The sequence number at which each segment was begun, as far as known: its age.
  var beginSequences: [SegmentIndex: SequenceNumber]
  /// Segments of relocated records that a crash left unsealed.
  private var unsealed: [FinishedSegment]
  /// The sweep for tombstones that is under way.
  var sweepInProgress: TombstoneSweep?
  /// The index shard with which the sweep goes on; 0 where a new one begins.
  var nextSweepShard = 0
  /// Segments sealed and freed since the store was opened, and how many they were when the last
  /// sweep began; nil makes one due.
  var turnoverCount = 0
  var turnoverAtSweep: Int?
  /// Whether compaction had no segment to go on with: it waits until one is freed.
  var isCompactionStuck = false
  /// Bytes of segments that compaction has won since the log was last told.
  var wonByteCount = 0
  /// Writes of compaction that failed.
  var compactionFailureCount = 0
  /// Rewrites since the store was opened: a device that fails everywhere is given up.
  var rewriteCount = 0
  /// What others ask for; nil once the task has ended.
  private let commands = Mutex<[MaintenanceCommand]?>([])
  private let freeCount = Atomic<Int>(0)
  /// The table for everybody else.
  let publishedTable: PublishedTable
  private let task = Mutex<Task<Void, Never>?>(nil)
  /// The task that looks after an idle log.
  private var timer: Task<Void, Never>?

  init(
    device: any BlockDevice, environment: StoreEnvironment, thread: WorkerThread,
    log: LogAppender, cache: RecordCache, hashKey: HashKey, options: StoreOptions,
    recovered: RecoveredStore, stepByteCount: Int, adjustMemory: @escaping @Sendable () -> Void
  ) {
    self.device = device
    self.environment = environment
    self.thread = thread
    self.log = log
    index = log.index
    segments = log.segments
    counters = log.counters
    health = log.health
    clock = log.clock
    signal = log.maintenance
    self.options = options
    self.hashKey = hashKey
    self.cache = cache
    self.adjustMemory = adjustMemory
    self.stepByteCount = stepByteCount
    superblock = recovered.superblock
    table = recovered.table
    userOrder = recovered.replay.order
    relocationSegments = recovered.relocatedSegments
    beginSequences = recovered.beginSequences
    unsealed = recovered.relocated.openScans.map(FinishedSegment.init)
    let streamCount = Maintenance.streamCount(segmentCount: superblock.geometry.segmentCount)
    outputs = StreamKind.relocations.prefix(streamCount).map(RelocationOutput.init)
    publishedTable = PublishedTable(table, order: userOrder)
    freeSegments = table.entries.filter { $0.entry.state == .free }.map(\.segment).reversed()
    publishFreeCount()
  }

  /// Sequence numbers reserved at a time.
  static let sequenceRange: UInt64 = 1 << 20

  /// Segments that puts may not take: room for tombstones, and for what a failed write moves.
  static func reserve(segmentCount: UInt32) -> Int { max(4, min(8, Int(segmentCount / 64))) }

  /// Age classes of relocated records: each keeps a segment open, so few segments have few.
  static func streamCount(segmentCount: UInt32) -> Int {
    segmentCount < 128 ? 2 : segmentCount < 512 ? 3 : 4
  }

  /// More places than these do not fail on a device that is worth writing to.
  var isCompactionGivenUp: Bool { compactionFailureCount > Maintenance.maximumRewriteCount }

  var reserve: Int { Maintenance.reserve(segmentCount: superblock.geometry.segmentCount) }

  /// Segments that hold nothing, for statistics.
  var freeSegmentCount: Int { freeCount.load(ordering: .relaxed) }

  func publishFreeCount() { freeCount.store(freeSegments.count, ordering: .relaxed) }

  func send(_ command: MaintenanceCommand) {
    let isTaken = commands.withLock { commands in
      commands?.append(command)
      return commands != nil
    }
    if isTaken { signal.raise() } else { refuse([command]) }
  }

  /// Answers what is asked of a task that has ended.
  private func refuse(_ commands: [MaintenanceCommand]) {
    for command in commands {
      switch command {
      case .checkpoint(let waiter), .compact(let waiter), .grow(_, let waiter), .close(let waiter):
        waiter.resume(.closedStore)
      case .abandon: break
      }
    }
  }

  /// Begins to run.
  func start() {
    let work = Task(executorPreference: thread) {
      await self.run()
      self.thread.stop()
    }
    task.withLock { $0 = work }
    signal.raise()
  }

  /// Waits until the task has ended, which it does once closed or abandoned.
  func join() async { await task.withLock { $0 }?.value }

  /// Waits, blocking, until the thread of the task has ended, which it does with the task.
  func joinThread() { thread.join() }

  /// Runs until closed or abandoned.
  private func run() async {
    while true {
      await signal.wait()
      await pass()
      var due = commands.withLock { commands in
        defer { commands = [] }
        return commands ?? []
      }
      while !due.isEmpty {
        switch due.removeFirst() {
        case .checkpoint(let waiter): waiter.resume(await writeCheckpoint())
        case .compact(let waiter): waiter.resume(await compactAll())
        case .grow(let geometry, let waiter): waiter.resume(await grow(to: geometry))
        case .close(let waiter):
          let error = await closeStore()
          await end(due)
          return waiter.resume(error)
        case .abandon: return await end(due)
        }
      }
    }
  }

  private func end(_ rest: [MaintenanceCommand]) async {
    clock.stopRecording(log.isPoisoned ? .poisonedStore : .closedStore)
    await timer?.value
    await dropRelocation()
    let late = commands.withLock { commands in
      defer { commands = nil }
      return commands ?? []
    }
    refuse(rest + late)
  }

  /// Does everything that is due. A failure of the metadata poisons the store.
  func pass() async {
    do throws(IOError) {
      if let plan = log.rewritePlan() { try await rewrite(plan) }
      guard !log.isPoisoned else { return clock.stopRecording(.poisonedStore) }
      try await supplyLog()
      try await sealUnsealed()
      // What a full store has deleted or overwritten is dead only once that is durable.
      if freeSegments.count <= reserve, log.hasPendingDeaths {
        _ = try await settle(through: nil)
      }
      try await freeDeadSegments()
      try await provideSegments()
      if isCheckpointDue, let error = await writeCheckpoint() {
        health.logger.warning("a checkpoint was not written", metadata: ["error": "\(error)"])
      }
      if try await compact() { signal.raise() }
      if await sweep() { signal.raise() }
      pace()
    } catch {
      log.poison("metadata could not be written: \(error)")
    }
    if log.isPoisoned { clock.stopRecording(.poisonedStore) }
    adjustMemory()
    // The order has followed the last change of the table.
    publishedTable.publish(order: userOrder)
    log.resumeSpaceWaiters()
    armTimer()
  }

  /// What writers wait for, so what takes long calls this in between.
  func supplyLog() async throws(IOError) {
    try await reserveSequences()
    try await recordClock()
    try await provideSegments()
    try await sealFinishedSegments()
  }

  /// Seals what a crash left of a compaction: the records there count, and nothing is added.
  private func sealUnsealed() async throws(IOError) {
    guard !unsealed.isEmpty else { return }
    try await seal(unsealed)
    unsealed = []
    log.noteDeadSegment()
  }

  /// Writes a mark of the TTL clock that somebody asked for.
  private func recordClock() async throws(IOError) {
    if clock.takeRequest() { try await writeSuperblock() }
  }

  /// Extends the range of sequence numbers before it is used up.
  ///
  /// DURABILITY: the superblock names the ceiling durably before a number below it is used, and an
  /// unclean open starts above it: a number is never given out twice.
  private func reserveSequences() async throws(IOError) {
    let last = log.lastSequence.rawValue
    guard last + Maintenance.sequenceRange / 2 > superblock.sequenceCeiling.rawValue else {
      return
    }
    superblock.sequenceCeiling = SequenceNumber(last + Maintenance.sequenceRange)
    try await writeSuperblock()
    log.setSequenceCeiling(superblock.sequenceCeiling)
  }

  /// Refuses to touch the metadata of a poisoned store.
  ///
  /// DURABILITY: no flush reaches the device any more. A second write of the table would go over
  /// the slot that is durable, while the first has never become so.
  private func requireFlushes() throws(IOError) {
    guard log.isPoisoned else { return }
    throw IOError(operation: .flush, byteOffset: 0, byteCount: 0, errorNumber: EIO)
  }

  func writeSuperblock() async throws(IOError) {
    try requireFlushes()
    superblock.version += 1
    clock.stamp(&superblock)
    try await SuperblockStore.write(superblock, on: device)
    clock.recorded(superblock)
    counters.add(counters.metadataBytes, Superblock.copyCount * Limits.pageByteCount)
  }

  func updateTable(_ changes: [(SegmentIndex, SegmentEntry)]) async throws(IOError) {
    guard !changes.isEmpty else { return }
    try requireFlushes()
    let byteCount = try await table.update(changes, on: device)
    publishedTable.publish(table, order: userOrder, log)
    counters.add(counters.metadataBytes, byteCount)
  }

  /// Takes a segment that nobody reads out of the free list.
  func takeFreeSegment() -> SegmentIndex? {
    defer { publishFreeCount() }
    // A segment whose generations are used up (after 2^32 uses) is left alone.
    let position = freeSegments.lastIndex {
      !segments.isPinned($0) && table[$0].generation.rawValue < Limits.maximumGeneration
    }
    guard let position else { return nil }
    return freeSegments.remove(at: position)
  }

  /// Opens a free segment in the table under a new generation.
  ///
  /// DURABILITY: the generation is durable before a frame carries it, so that it is never used
  /// twice and leftovers of an earlier use never pass for frames.
  func openSegment(
    _ segment: SegmentIndex, stream: StreamKind, predecessor: SegmentIndex
  ) async throws(IOError) -> Generation {
    try await openSegments([segment], stream: stream, predecessor: predecessor)[0].generation
  }

  /// Opens free segments, each the successor of the one before.
  func openSegments(
    _ free: [SegmentIndex], stream: StreamKind, predecessor: SegmentIndex
  ) async throws(IOError) -> [PreparedSegment] {
    var predecessor = predecessor
    var changes: [(SegmentIndex, SegmentEntry)] = []
    for segment in free {
      let generation = Generation(table[segment].generation.rawValue + 1)
      let entry = SegmentEntry(
        state: .open, stream: stream, generation: generation, predecessor: predecessor)
      changes.append((segment, entry))
      predecessor = segment
    }
    try await updateTable(changes)
    return changes.map { segment, entry in
      segments.setGeneration(entry.generation, of: segment)
      return PreparedSegment(segment: segment, generation: entry.generation, isReserve: false)
    }
  }

  /// Keeps segments ready for the log: one where free ones are few, or several, so that one flush
  /// makes them all durable and a writer hardly ever waits for it.
  func provideSegments() async throws(IOError) {
    if freeSegments.count <= reserve, superblock.checkpoint != nil, !log.hasSegmentForPuts {
      try await dropCheckpoint()
    }
    // A checkpoint that is being written is given up before the reserve is touched.
    guard unpublishedCheckpoint.isEmpty || freeSegments.count > reserve else { return }
    let hasRoomForPuts = freeSegments.count > reserve
    let limit = max(1, min(4, (freeSegments.count - reserve) / 16))
    let wantedCount = log.wantedSegmentCount(upTo: limit)
    var taken: [SegmentIndex] = []
    // Two stay back: for records whose write fails, and for what compaction moves.
    while taken.count < wantedCount, freeSegments.count > 2, let segment = takeFreeSegment() {
      taken.append(segment)
    }
    if !taken.isEmpty {
      let opened = try await openSegments(
        taken, stream: .user, predecessor: userOrder.last ?? .none)
      userOrder += taken
      for segment in taken { beginSequences[segment] = log.lastSequence }
      log.provide(
        opened.map {
          PreparedSegment(
            segment: $0.segment, generation: $0.generation, isReserve: !hasRoomForPuts)
        })
    }
    let hasRoom = freeSegments.count >= reserve
    let isFull = log.noteSpace(
      hasRoomForPuts: hasRoom, isExhausted: freeSegments.count <= 2,
      isReclaiming: !hasRoom && (canReclaim || sweepInProgress != nil || isSweepDue))
    health.setFull(isFull)
  }

  /// Looks after a log that may go idle: ticks until it has nothing left to write out.
  private func armTimer() {
    guard log.hasQuietWork, !log.isTimerArmed.exchange(true, ordering: .acquiringAndReleasing)
    else { return }
    timer = Task(executorPreference: thread) { [log, environment, signal] in
      while log.hasQuietWork {
        let before = log.activityCount
        await environment.sleep(Maintenance.quietNanoseconds)
        log.quiet(ifActivityCountIs: before)
      }
      log.isTimerArmed.store(false, ordering: .sequentiallyConsistent)
      // Work that came between the last look and the disarming found the timer armed.
      if log.hasQuietWork { signal.raise() }
    }
  }

  /// More places than these do not fail on a device that is worth writing to.
  static let maximumRewriteCount = 16

  /// How long a log must be idle before buffered records are written and the watermark follows.
  static let quietNanoseconds: UInt64 = 5_000_000
}
