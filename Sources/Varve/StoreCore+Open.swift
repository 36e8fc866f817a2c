// open: device → recovery in memory → what must be durable before the store serves → the parts.

import Logging
import VarveFormat
import VarveIO

extension StoreCore {
  /// Opens the store at a path.
  static func open(
    path: String, options: StoreOptions, clockJump: ClockJump
  ) async throws(StoreError) -> Store {
    let relay = SlowRequestRelay(logger: options.logger)
    let opened = try await openDevice(path: path, options: options, relay)
    for warning in opened.warnings { options.logger.warning("\(warning)") }
    let store = try await open(
      device: opened.device, options: options, environment: StoreEnvironment(),
      clockJump: clockJump)
    relay.connect(store.core.health)
    return store
  }

  static func openDevice(
    path: String, options: StoreOptions, _ relay: SlowRequestRelay
  ) async throws(StoreError) -> OpenedDevice {
    var deviceOptions = DeviceOptions()
    if let contextCount = options.contextCount { deviceOptions.contextCount = max(1, contextCount) }
    deviceOptions.onSlowRequest = { request in relay.report(request) }
    let engine: DeviceEngine =
      switch options.engine {
      case .automatic: .automatic
      case .linuxAIO: .linuxAIO
      case .threads: .threads
      case .uring: .uring
      }
    do throws(DeviceError) {
      return try await Devices.open(
        path,
        openOptions: OpenOptions(
          access: options.readOnly ? .readOnly : .readWrite,
          allowBuffered: options.allowBufferedIO),
        waitForLockSeconds: options.waitForLockSeconds, engine: engine, options: deviceOptions)
    } catch {
      throw StoreError(error)
    }
  }

  /// Opens the store on a device, which the store then owns.
  static func open(
    device: any BlockDevice, options: StoreOptions, environment: StoreEnvironment,
    clockJump: ClockJump
  ) async throws(StoreError) -> Store {
    let gate = FlushGate(device)
    do throws(StoreError) {
      return try await assemble(gate, options, environment, clockJump)
    } catch {
      await DeviceCloser.close(device)
      throw error
    }
  }

  private static func assemble(
    _ device: FlushGate, _ options: StoreOptions, _ environment: StoreEnvironment,
    _ clockJump: ClockJump
  ) async throws(StoreError) -> Store {
    try options.validateClock()
    try options.validateRate()
    var plan: MemoryPlan?
    let recovery = StoreRecovery(
      device: device,
      memory: { superblock throws(StoreError) in
        let made = try MemoryPlan(
          budget: options.memoryBudget, segmentCount: superblock.geometry.segmentCount)
        plan = made
        return made
      }, environment: environment, progress: options.recoveryProgress)
    var recovered = try await recovery.recover()
    guard let plan else { throw .closedStore }
    let isReadOnly = try readOnlyMode(recovered, options)
    let start = startClock(&recovered, options, environment, clockJump)
    if !isReadOnly {
      do throws(IOError) {
        try await makeDurable(&recovered, on: device, start)
      } catch {
        throw StoreError(
          .io, "the store could not be opened for writing: \(error)",
          byteOffset: error.byteOffset)
      }
    } else if !PlantedBug.servesUnflushed.isPlanted, let error = await device.flush() {
      throw StoreError(.io, "the device cannot be flushed: \(error)")
    }
    let thread: WorkerThread?
    do throws(DeviceError) {
      thread = isReadOnly ? nil : try WorkerThread(name: "varve-maint")
    } catch {
      throw StoreError(error)
    }
    let core = build(device, options, environment, recovered, plan, start, thread)
    logOutcome(recovered.report, options.logger)
    logGrowth(recovered.superblock.geometry, device, options.logger)
    if recovered.report.outcome == .degraded { core.health.setDegraded() }
    let reserve = SegmentLedger.reserve(segmentCount: recovered.superblock.geometry.segmentCount)
    if isReadOnly, core.statistics().freeSegmentCount <= reserve { core.health.setFull(true) }
    core.maintenance?.start()
    core.metrics?.start(core)
    core.startServer()
    return Store(core: core)
  }

  /// Whether the store can only be read, or why it is not opened at all.
  private static func readOnlyMode(
    _ recovered: RecoveredStore, _ options: StoreOptions
  ) throws(StoreError) -> Bool {
    guard recovered.replay.suspect != nil else {
      if options.readOnly || recovered.superblock.features.verdict == .readOnly { return true }
      try requireCountersLeft(recovered)
      return false
    }
    guard options.allowDegraded else {
      throw StoreError(
        .corrupt,
        "acknowledged data is damaged: " + recovered.report.findings.joined(separator: "; ")
          + ". Nothing was changed. Open with allowDegraded (kvctl: --allow-degraded) to read what "
          + "is left")
    }
    return true
  }

  /// Refuses to write where a number that only grows is used up, which no store of this world
  /// comes to: an image made by hand may.
  private static func requireCountersLeft(_ recovered: RecoveredStore) throws(StoreError) {
    let superblock = recovered.superblock
    let last = max(
      superblock.version, superblock.sequenceCeiling.rawValue,
      recovered.replay.lastSequence.rawValue)
    guard last < Limits.maximumCounter / 2,
      superblock.openCount < UInt64(Limits.maximumGeneration)
    else {
      throw StoreError(
        .refused,
        "the store's counters are used up; nothing was changed. Open it with readOnly, dump it, "
          + "and load the dump into a new store")
    }
  }

  /// What must be on the medium before the store serves.
  ///
  /// DURABILITY: a flush makes durable what recovery showed, so that the next recovery shows it
  /// again. Open segments without a frame that counts are freed before the cut is written, the
  /// last first (`UserLogReplay.emptySegments` says which that is): until the cut is durable a
  /// second recovery judges the same tail the same way. The superblock then names the cut, the next
  /// open epoch and a fresh range of sequence numbers above every number that was ever used; only
  /// after that is anything appended.
  ///
  /// The mark of the TTL clock that it names is where the clock begins, so that what this open
  /// takes for expired is expired to every later one.
  private static func makeDurable(
    _ recovered: inout RecoveredStore, on device: any BlockDevice, _ start: ClockStart
  ) async throws(IOError) {
    if let error = await device.flush() { throw error }
    if recovered.hasOtherSize {
      try await SuperblockStore.completeGrowth(recovered.superblock, on: device)
    }
    let empty = recovered.replay.emptySegments.reversed() + recovered.relocated.emptySegments
    for segment in empty {
      let generation = recovered.table[segment].generation
      _ = try await recovered.table.update(
        [(segment, SegmentEntry(state: .free, generation: generation))], on: device)
    }
    try await freeOrphans(&recovered, on: device)
    _ = try await recovered.table.rewriteWeakPages(on: device)
    var superblock = recovered.superblock
    let last = max(recovered.replay.lastSequence, superblock.sequenceCeiling)
    superblock.version += 1
    superblock.openCount += 1
    superblock.shutdown = .open
    superblock.lastSequence = last
    superblock.sequenceCeiling = SequenceNumber(last.rawValue + Maintenance.sequenceRange)
    if superblock.hasExpiries { superblock.clockMilliseconds = start.milliseconds }
    superblock.cut = recovered.replay.openScans.last.map {
      LogCut(
        segment: $0.segment, generation: $0.generation,
        pageCount: PageCount(UInt32($0.endPage)),
        openEpoch: UInt32(truncatingIfNeeded: superblock.openCount))
    }
    try await SuperblockStore.write(superblock, on: device)
    recovered.superblock = superblock
  }

  /// Frees the segments of checkpoints that no superblock names: a crash left them.
  private static func freeOrphans(
    _ recovered: inout RecoveredStore, on device: any BlockDevice
  ) async throws(IOError) {
    let named = recovered.report.usedCheckpoint
    let orphans = recovered.table.entries.filter {
      $0.entry.stream == .checkpoint && $0.entry.state != .free
        && ($0.entry.state == .open || !named)
    }
    if !named { recovered.superblock.checkpoint = nil }
    guard !orphans.isEmpty else { return }
    if !named {
      // The superblock must stop naming them before they can be used for anything else.
      recovered.superblock.version += 1
      try await SuperblockStore.write(recovered.superblock, on: device)
    }
    _ = try await recovered.table.update(
      orphans.map {
        ($0.segment, SegmentEntry(state: .free, generation: $0.entry.generation))
      }, on: device)
  }

  private static func build(
    _ device: FlushGate, _ options: StoreOptions, _ environment: StoreEnvironment,
    _ recovered: RecoveredStore, _ plan: MemoryPlan, _ start: ClockStart,
    _ thread: WorkerThread?
  ) -> StoreCore {
    let superblock = recovered.superblock
    let health = HealthMonitor(logger: options.logger)
    let signal = Signal()
    let clock = StoreClock(
      start: start, superblock: superblock, canRecord: thread != nil, environment: environment,
      maintenance: signal)
    let log = LogAppender(
      device: device, superblock: superblock, index: recovered.index,
      segments: recovered.segments, counters: StoreCounters(), maintenance: signal,
      health: health, clock: clock, state: logState(recovered),
      bufferByteLimit: plan.bufferByteLimit)
    let cache = RecordCache(
      byteLimit: options.cacheEnabled
        ? plan.cacheByteLimit(
          indexByteCount: recovered.index.reservedByteCount,
          segmentCount: recovered.segments.count) : 0,
      shardCount: 64)
    let reader = RecordReader(
      device: device, superblock: superblock, segments: recovered.segments,
      counters: log.counters, memory: ReadMemory(byteLimit: plan.readByteLimit),
      noteDeadSegment: { log.noteDeadSegment() })
    let (index, segments) = (recovered.index, recovered.segments)
    let maintenance = thread.map { thread in
      Maintenance(
        device: device, environment: environment, thread: thread, log: log, cache: cache,
        hashKey: HashKey(low: superblock.hashKeyLow, high: superblock.hashKeyHigh),
        options: options, recovered: recovered, compactionByteLimit: plan.compactionByteLimit,
        adjustMemory: {
          if options.cacheEnabled { StoreCore.adjustMemory(plan, index, segments, cache) }
        })
    }
    return StoreCore(
      device: device, environment: environment, options: options, recovered: recovered,
      memoryPlan: plan, log: log, cache: cache, reader: reader, maintenance: maintenance,
      isReadOnly: thread == nil)
  }

  /// The log as recovery left it: it goes on behind the last frame that counts.
  private static func logState(_ recovered: RecoveredStore) -> LogState {
    let replay = recovered.replay
    let superblock = recovered.superblock
    var state = LogState()
    state.lastSequence = superblock.lastSequence
    state.sequenceCeiling = superblock.sequenceCeiling
    state.durableSequence = replay.lastSequence
    state.watermarkWritten = replay.lastSequence
    state.openEpoch = UInt32(truncatingIfNeeded: superblock.openCount)
    state.hasDeadSegments = true
    state.recordCountSinceCheckpoint =
      recovered.report.summaryRecordCount + recovered.report.frameRecordCount
    for scan in replay.openScans {
      let summary = scan.summary
      // DURABILITY: the log goes on only behind everything that counts; records appended to an
      // open segment before a sealed one would be replayed before it, and lose against it.
      if replay.endsInOpenSegment, scan.segment == replay.openScans.last?.segment {
        state.current = OpenSegment(
          segment: scan.segment, generation: scan.generation,
          firstPage: superblock.geometry.firstPage(of: scan.segment), isReserve: false,
          nextPage: scan.endPage, ordinal: scan.nextOrdinal,
          chainChecksum: scan.lastFrameChecksum, lastFramePage: scan.lastFramePage,
          header: scan.header, summary: summary)
        // What is appended from here on is in the write buffer first.
        recovered.segments.setBufferedFloor(UInt32(scan.endPage), of: scan.segment)
      } else {
        state.finished.append(FinishedSegment(scan))
        state.predecessor = state.finished.last
      }
    }
    if !replay.endsInOpenSegment { state.predecessor = nil }
    return state
  }

  /// Where the TTL clock begins, which the report tells.
  private static func startClock(
    _ recovered: inout RecoveredStore, _ options: StoreOptions, _ environment: StoreEnvironment,
    _ jump: ClockJump
  ) -> ClockStart {
    let start = ClockStart(
      markMilliseconds: max(
        recovered.superblock.clockMilliseconds, recovered.replay.clockMilliseconds),
      wallMilliseconds: environment.wallMilliseconds(),
      hasExpiries: recovered.superblock.hasExpiries, jump: jump,
      boundMilliseconds: UInt64(options.clockJumpBoundSeconds * 1000))
    recovered.report.clockMilliseconds = start.milliseconds
    recovered.report.heldClockJumpSeconds = start.heldJumpMilliseconds.map { Double($0) / 1000 }
    return start
  }

  /// Says that there is more room than the store uses.
  private static func logGrowth(
    _ geometry: Geometry, _ device: any BlockDevice, _ logger: Logger
  ) {
    let growable = GrowthPlan.growableByteCount(geometry, presentByteCount: device.byteCount)
    guard growable > 0 else { return }
    logger.notice(
      "the store is smaller than what it lies on: it can be grown (kvctl resize)",
      metadata: [
        "recordedBytes": "\(geometry.deviceByteCount)", "presentBytes": "\(device.byteCount)",
        "growableBytes": "\(growable)",
      ])
  }

  private static func logOutcome(_ report: RecoveryReport, _ logger: Logger) {
    if let seconds = report.heldClockJumpSeconds {
      logger.warning(
        """
        clockHeld: the wall clock is so far ahead that it was not believed, and records do not \
        expire by it; once it is known to be right, open with clockJump: .accept (kvctl recover \
        --accept-clock)
        """,
        metadata: ["aheadSeconds": "\(seconds)"])
    }
    guard report.outcome != .clean || !report.findings.isEmpty else { return }
    logger.notice(
      "store recovered",
      metadata: [
        "outcome": "\(report.outcome.rawValue)",
        "droppedRecords": "\(report.droppedRecordCount)",
        "seconds": "\(report.durationSeconds)",
        "findings": "\(report.findings.joined(separator: "; "))",
      ])
  }
}
