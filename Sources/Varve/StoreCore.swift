// What a store consists of. `Store` is the handle that users hold; the background task and requests
// in flight hold this. One file per journey: StoreCore+Write, StoreCore+Read, StoreCore+Open.

import Logging
import Synchronization
import VarveFormat
import VarveIO

/// The parts of an open store.
final class StoreCore: Sendable {
  let device: FlushGate
  let environment: StoreEnvironment
  let options: StoreOptions
  /// Of the store at its largest: places are the same in all sizes, and what changes while the
  /// store is open, the count of segments, is asked of `segments`.
  let geometry: Geometry
  let hashKey: HashKey
  let index: RecordIndex
  let segments: SegmentDirectory
  let cache: RecordCache
  let log: LogAppender
  let reader: RecordReader
  let counters: StoreCounters
  let health: HealthMonitor
  let clock: StoreClock
  let memoryPlan: MemoryPlan
  let report: RecoveryReport
  /// nil where the caller gave no factory.
  let metrics: StoreMetrics?
  /// What damage of unknown extent may have taken; nil in a sound store.
  let suspect: SuspectRange?
  /// nil in a store that is open for reading only.
  let maintenance: Maintenance?
  let isReadOnly: Bool
  let identity: Identity
  let publishedTable: PublishedTable
  /// Answers on the socket of the statistics, while there is one.
  let server = Mutex<LocalServer?>(nil)
  /// Segments that hold nothing, as found: all that a store open for reading knows of them.
  private let foundFreeSegmentCount: Int
  /// The last sequence number in use, as found, and the one behind which this open gives them out.
  private let foundSequence: SequenceNumber
  private let firstSequence: SequenceNumber
  private let lifecycle = Mutex(Lifecycle.open)
  /// Whether somebody is making the store larger.
  let isGrowing = Atomic<Bool>(false)
  /// Made when somebody asks for it.
  private let madeExecutor = Mutex<(any TaskExecutor)?>(nil)

  private enum Lifecycle {
    case open
    case closing([WriteWaiter])
    case closed(StoreError?)
  }

  init(
    device: FlushGate, environment: StoreEnvironment, options: StoreOptions,
    recovered: RecoveredStore, memoryPlan: MemoryPlan, log: LogAppender, cache: RecordCache,
    reader: RecordReader, maintenance: Maintenance?, isReadOnly: Bool
  ) {
    self.device = device
    self.environment = environment
    self.options = options
    geometry = recovered.superblock.geometry.largest
    hashKey = HashKey(
      low: recovered.superblock.hashKeyLow, high: recovered.superblock.hashKeyHigh)
    index = recovered.index
    segments = recovered.segments
    self.cache = cache
    self.log = log
    self.reader = reader
    counters = log.counters
    health = log.health
    clock = log.clock
    self.memoryPlan = memoryPlan
    report = recovered.report
    let identity = Identity(
      uuid: recovered.superblock.uuid.description, label: recovered.superblock.label)
    self.identity = identity
    metrics = options.metricsFactory.map { factory in
      StoreMetrics(
        factory: factory, name: identity.label.isEmpty ? identity.uuid : identity.label)
    }
    suspect = recovered.replay.suspect
    self.maintenance = maintenance
    self.isReadOnly = isReadOnly
    foundSequence = recovered.replay.lastSequence
    firstSequence = recovered.superblock.lastSequence
    publishedTable =
      maintenance?.ledger.published
      ?? PublishedTable(recovered.table, order: recovered.replay.order)
    foundFreeSegmentCount = recovered.table.entries.count { $0.entry.state == .free }
  }

  /// Whether closing has not begun.
  var isOpen: Bool {
    lifecycle.withLock { state in
      if case .open = state { return true }
      return false
    }
  }

  /// Throws once closing has begun.
  func requireOpen() throws(StoreError) {
    if !isOpen { throw .closedStore }
  }

  /// Throws where nothing may be written.
  func requireWritable() throws(StoreError) {
    try requireOpen()
    if isReadOnly { throw .readOnlyStore }
  }

  func sync() async throws(StoreError) {
    try requireOpen()
    if isReadOnly { return }
    if let error = await log.settle() { throw error }
  }

  func checkpoint() async throws(StoreError) {
    try requireWritable()
    guard let maintenance else { return }
    let error: StoreError? = await suspend { maintenance.send(.checkpoint($0)) }
    if let error { throw error }
  }

  func compact() async throws(StoreError) {
    try requireWritable()
    guard let maintenance else { return }
    let error: StoreError? = await suspend { maintenance.send(.compact($0)) }
    if let error { throw error }
  }

  func close() async throws(StoreError) {
    enum Role {
      case first
      case waiting
      case done(StoreError?)
    }
    let role: Role = lifecycle.withLock { state in
      switch state {
      case .open:
        state = .closing([])
        return .first
      case .closing: return .waiting
      case .closed(let error): return .done(error)
      }
    }
    switch role {
    case .done(let error): if let error { throw error }
    case .waiting: if let error = await closingError() { throw error }
    case .first:
      let error = await finish()
      let waiters = lifecycle.withLock { state in
        defer { state = .closed(error) }
        if case .closing(let waiters) = state { return waiters }
        return []
      }
      for waiter in waiters { waiter.resume(error) }
      if let error { throw error }
    }
  }

  /// Waits for the close that somebody else has begun.
  private func closingError() async -> StoreError? {
    await suspend { (waiter: WriteWaiter) in
      let result: (isDone: Bool, error: StoreError?) = lifecycle.withLock { state in
        switch state {
        case .open: return (true, nil)
        case .closing(let waiters):
          state = .closing(waiters + [waiter])
          return (false, nil)
        case .closed(let error): return (true, error)
        }
      }
      if result.isDone { waiter.resume(result.error) }
    }
  }

  private func finish() async -> StoreError? {
    // Before the device is released: whoever opens the store next makes the same name.
    let server = stopServer()
    var error: StoreError?
    if let maintenance {
      error = await suspend { maintenance.send(.close($0)) }
      await maintenance.join()
    }
    // Closing the device waits for every request, so this may take a moment: off the caller's
    // executor, or one blocked thread could be the one that a completion needs.
    await DeviceCloser.close(device) { [maintenance] in
      maintenance?.joinThread()
      server?.join()
    }
    await metrics?.end(self)?.value
    log.releaseFrames()
    cache.removeAll()
    health.close()
    return error
  }

  /// The last handle is gone without `close()`: nothing is marked clean, so the next open recovers.
  func abandon() {
    let wasOpen = lifecycle.withLock { state in
      guard case .open = state else { return false }
      state = .closed(.closedStore)
      return true
    }
    guard wasOpen else { return }
    _ = metrics?.end(self)
    let server = stopServer()
    health.logger.warning(
      "a store was dropped without close(): it is not marked clean, and the next open recovers it")
    maintenance?.send(.abandon)
    DeviceCloser.begin(closing: device) { [health, log, maintenance] in
      maintenance?.joinThread()
      server?.join()
      log.releaseFrames()
      health.close()
    }
  }

  /// The executor of the store's I/O; made at the first call, whatever comes of it.
  func executor() -> any TaskExecutor {
    var warning: (text: Logger.Message, error: DeviceError)?
    let executor = madeExecutor.withLock { made in
      let executor = made ?? makeExecutor(&warning)
      made = executor
      return executor
    }
    // Outside of the lock: whoever logs may ask the store something.
    if let warning {
      health.logger.warning(warning.text, metadata: ["error": "\(warning.error)"])
    }
    return executor
  }

  private func makeExecutor(
    _ warning: inout (text: Logger.Message, error: DeviceError)?
  ) -> any TaskExecutor {
    let threadCount = options.executorThreadCount ?? StoreOptions.defaultExecutorThreadCount
    let logger = health.logger
    let onStall: @Sendable (UInt64) -> Void = { nanoseconds in
      logger.warning(
        "loopStall: tasks held up an I/O thread; what blocks or computes belongs elsewhere",
        metadata: ["milliseconds": "\(nanoseconds / 1_000_000)"])
    }
    do throws(DeviceError) {
      return try device.makeExecutor(threadCount: threadCount, onStall: onStall)
    } catch {
      warning = ("store.executor has no I/O contexts of its own", error)
    }
    do throws(DeviceError) {
      return try IOExecutor(threadCount: threadCount, onStall: onStall)
    } catch {
      warning = ("store.executor has no threads: it is the global executor", error)
      return globalConcurrentExecutor
    }
  }

  /// Fits the cache into what the index leaves of the budget.
  static func adjustMemory(
    _ plan: MemoryPlan, _ index: RecordIndex, _ segments: SegmentDirectory, _ cache: RecordCache
  ) {
    cache.setByteLimit(
      plan.cacheByteLimit(
        indexByteCount: index.reservedByteCount, segmentCount: segments.count))
  }

  func statistics() -> StoreStatistics {
    var result = StoreStatistics()
    let tombstones = segments.indexedTombstoneCount
    result.tombstoneCount = tombstones
    result.keyCount = max(0, index.entryCount - tombstones)
    // An open after a crash begins far above the numbers that are in use.
    let last = log.lastSequence
    result.lastSequence = (last == firstSequence ? foundSequence : last).rawValue
    result.durableSequence = log.durableSequence.rawValue
    result.putCount = counters.value(counters.puts)
    result.deleteCount = counters.value(counters.deletes)
    result.batchCount = counters.value(counters.batches)
    result.getCount = counters.value(counters.gets)
    result.bufferHitCount = counters.value(counters.bufferHits)
    result.cacheHitCount = counters.value(counters.cacheHits)
    result.deviceReadCount = counters.value(counters.deviceReads)
    result.sharedReadCount = counters.value(counters.sharedReads)
    result.corruptReadCount = counters.value(counters.corruptReads)
    result.userByteCount = counters.value(counters.userBytes)
    result.frameByteCount = counters.value(counters.frameBytes)
    result.paddingByteCount = counters.value(counters.paddingBytes)
    result.metadataByteCount = counters.value(counters.metadataBytes)
    result.summaryByteCount = counters.value(counters.summaryBytes)
    result.checkpointByteCount = counters.value(counters.checkpointBytes)
    result.frameCount = counters.value(counters.frames)
    result.flushCount = counters.value(counters.flushes)
    result.freedSegmentCount = counters.value(counters.freedSegments)
    result.relocatedRecordCount = counters.value(counters.relocatedRecords)
    result.relocationByteCount = counters.value(counters.relocationBytes)
    result.compactedSegmentCount = counters.value(counters.compactedSegments)
    result.reclaimedByteCount = counters.value(counters.reclaimedBytes)
    result.deadTombstoneCount = counters.value(counters.deadTombstones)
    result.spaceWaitCount = counters.value(counters.spaceWaits)
    result.spaceWaitNanoseconds = counters.value(counters.spaceWaitNanoseconds)
    result.segmentCount = segments.count
    result.freeSegmentCount = maintenance?.ledger.freeSegmentCount ?? foundFreeSegmentCount
    result.reservedSegmentCount = SegmentLedger.reserve(segmentCount: UInt32(segments.count))
    result.discardedByteCount = counters.value(counters.discardedBytes)
    result.discardFailureCount = counters.value(counters.discardFailures)
    result.usedByteCount =
      (result.segmentCount - result.freeSegmentCount) * geometry.segmentByteCount
    result.liveByteCount = segments.liveByteCount
    result.indexByteCount = index.reservedByteCount
    result.cacheByteCount = cache.byteCount
    result.bufferByteCount = log.bufferByteCount
    result.readByteCount = reader.memory.byteCount
    result.memoryBudget = memoryPlan.budget
    result.clockMilliseconds = clock.milliseconds
    result.slowRequestCount = device.slowRequestCount
    result.loopStallCount = madeExecutor.withLock { ($0 as? IOExecutor)?.stallCount } ?? 0
    return result
  }
}
