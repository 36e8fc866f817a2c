// The one task that changes the table and the superblock of an open store, so that nothing else
// needs to order those writes. It sleeps until the log raises its signal, then does all that is
// due (`pass`):
//
//   rewrite     records whose write failed                  (Maintenance+Segments)
//   seal        what a crash left of a compaction           (this file)
//   reserve     sequence numbers, the next segments         (this file)
//   clock       the mark of the TTL clock, where asked for  (this file)
//   seal        finished segments                           (Maintenance+Segments)
//   free        segments in which nothing is live           (Maintenance+Segments)
//   checkpoint  when due                                    (Maintenance+Checkpoint)
//   reclaim     compaction, sweeps, the pace of writers     (Maintenance+Compaction)
//   quiet       a log that has been idle: write out, watermark
//
// and what somebody has asked for: a checkpoint, a compaction, growth (Maintenance+Growth), an end.

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
  let adjustMemory: @Sendable () -> Void
  let thread: WorkerThread

  var superblock: Superblock
  let ledger: SegmentLedger
  let compactor: Compactor
  let sweeper: Sweeper
  /// Records to be replayed from which on another checkpoint is tried.
  var checkpointRetryRecordCount = 0
  /// Segments of a checkpoint that is being written and does not count yet.
  var unpublishedCheckpoint: [SegmentIndex] = []
  /// Segments of relocated records that a crash left unsealed.
  private var unsealed: [FinishedSegment]
  /// Whether the store is being closed: nothing new is begun.
  var isClosing = false
  /// Who waits until nothing is worth moving.
  var compactionRequest: CompactionRequest?
  /// Rewrites since the store was opened: a device that fails everywhere is given up.
  var rewriteCount = 0
  /// What others ask for; nil once the task has ended.
  private let commands = Mutex<[MaintenanceCommand]?>([])
  private let task = Mutex<Task<Void, Never>?>(nil)
  private let isWatchingIdleness = SharedFlag()
  /// The task that looks after a log that may go idle.
  private var timer: Task<Void, Never>?

  init(
    device: any BlockDevice, environment: StoreEnvironment, thread: WorkerThread,
    log: LogAppender, cache: RecordCache, hashKey: HashKey, options: StoreOptions,
    recovered: RecoveredStore, compactionByteLimit: Int,
    adjustMemory: @escaping @Sendable () -> Void
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
    self.adjustMemory = adjustMemory
    superblock = recovered.superblock
    ledger = SegmentLedger(
      device: device, log: log, recovered: recovered,
      discards: SegmentDiscards.start(
        options, on: device, geometry: superblock.geometry, for: log))
    unsealed = recovered.relocated.openScans.map(FinishedSegment.init)
    compactor = Compactor(
      environment: environment, log: log, ledger: ledger, cache: cache, hashKey: hashKey,
      openEpoch: UInt32(truncatingIfNeeded: superblock.openCount), thread: thread,
      memoryByteLimit: compactionByteLimit,
      bytesPerSecond: options.compactionBytesPerSecond)
    sweeper = Sweeper(log: log, ledger: ledger, compactor: compactor)
  }

  /// Sequence numbers reserved at a time.
  static let sequenceRange: UInt64 = 1 << 20

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

  /// Waits, blocking, until the threads of the task have ended, which they do with the task.
  func joinThread() {
    thread.join()
    ledger.discards?.joinThread()
  }

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
        case .compact(let waiter): await beginCompaction(waiter)
        case .grow(let geometry, let waiter): waiter.resume(await grow(to: geometry))
        case .close(let waiter):
          isClosing = true
          endRequest(.closedStore)
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
    await compactor.stop()
    await ledger.discards?.end()
    endRequest(log.isPoisoned ? .poisonedStore : .closedStore)
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
      guard !log.isPoisoned else {
        endRequest(.poisonedStore)
        return clock.stopRecording(.poisonedStore)
      }
      // Before anything is freed of which they hold the copies.
      try await sealUnsealed()
      try await supplyLog()
      // What a full store has deleted or overwritten is dead only once that is durable.
      if ledger.headroom <= 0, log.hasPendingDeaths {
        _ = try await settle(through: nil)
      }
      try await freeDeadSegments()
      try await provideSegments()
      if isCheckpointDue, let error = await writeCheckpoint() {
        health.logger.warning("a checkpoint was not written", metadata: ["error": "\(error)"])
      }
      try await reclaim()
    } catch {
      log.poison("metadata could not be written: \(error)")
    }
    if log.isPoisoned {
      clock.stopRecording(.poisonedStore)
      endRequest(.poisonedStore)
    }
    adjustMemory()
    // The order has followed the last change of the table.
    ledger.published.publish(order: ledger.userOrder)
    log.resumeSpaceWaiters()
    armTimer()
    watchForIdleness()
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
    guard !unsealed.isEmpty, !PlantedBug.leftoversForgotten.isPlanted else { return }
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

  func writeSuperblock() async throws(IOError) {
    try ledger.requireFlushes()
    superblock.version += 1
    clock.stamp(&superblock)
    try await SuperblockStore.write(superblock, on: device)
    clock.recorded(superblock)
    counters.add(counters.metadataBytes, Superblock.copyCount * Limits.pageByteCount)
  }

  /// Keeps segments ready for the log: one where free ones are few, or several, so that one flush
  /// makes them all durable and a writer hardly ever waits for it.
  func provideSegments() async throws(IOError) {
    if ledger.headroom <= 0 { try await turnOver(freed: compactor.takeUnused()) }
    if ledger.headroom <= 0, superblock.checkpoint != nil, !log.hasSegmentForPuts {
      try await dropCheckpoint()
    }
    // A checkpoint that is being written is given up before the reserve is touched.
    guard unpublishedCheckpoint.isEmpty || ledger.headroom > 0 else { return }
    let hasRoomForPuts = ledger.headroom > 0
    let taken = await takeSegmentsForLog()
    if !taken.isEmpty {
      var opened = try await ledger.open(taken, stream: .user)
      for position in opened.indices { opened[position].isReserve = !hasRoomForPuts }
      log.provide(opened)
    }
    let hasRoom = ledger.headroom >= 0
    let isFull = log.noteSpace(
      hasRoomForPuts: hasRoom, isExhausted: ledger.free.count <= 2,
      isReclaiming: !hasRoom && canReclaim)
    health.setFull(isFull)
  }

  /// Takes as many free segments as the log wants made ready.
  func takeSegmentsForLog() async -> [SegmentIndex] {
    let limit = max(ledger.headroom > 2 ? 2 : 1, min(4, ledger.headroom / 16))
    let wantedCount = log.wantedSegmentCount(upTo: limit)
    var taken: [SegmentIndex] = []
    // Two stay back: for records whose write fails, and for what compaction moves.
    while taken.count < wantedCount, ledger.free.count > 2, let segment = await ledger.takeFree() {
      taken.append(segment)
    }
    return taken
  }

  /// Looks after a log that may go idle: ticks until it has nothing left to write out.
  func armTimer() {
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

  /// Learns when nobody has written for a while, so that space is put together then.
  ///
  /// Nobody waits for that task, and it keeps nothing alive: a store that is closed meanwhile
  /// leaves it nothing to wake.
  private func watchForIdleness() {
    guard options.compactsWhenIdle, !log.isIdle, !isWatchingIdleness.exchange(true) else { return }
    Task { [weak log, signal, environment, isWatchingIdleness] in
      while let count = log?.activityCount {
        await environment.sleep(Maintenance.idleNanoseconds)
        if log?.noteIdle(ifActivityCountIs: count) ?? true { break }
      }
      _ = isWatchingIdleness.exchange(false)
      signal.raise()
    }
  }

  /// How long nobody has to write before half-empty segments are put together.
  static let idleNanoseconds: UInt64 = 1_000_000_000

  /// More places than these do not fail on a device that is worth writing to.
  static let maximumRewriteCount = 16

  /// How long a log must be idle before buffered records are written and the watermark follows.
  static let quietNanoseconds: UInt64 = 5_000_000
}
