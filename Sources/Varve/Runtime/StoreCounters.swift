import Synchronization

/// What the store counts. Each counter is one relaxed atomic add.
final class StoreCounters: Sendable {
  let puts = Atomic<UInt64>(0)
  let deletes = Atomic<UInt64>(0)
  let batches = Atomic<UInt64>(0)
  let gets = Atomic<UInt64>(0)
  let bufferHits = Atomic<UInt64>(0)
  let cacheHits = Atomic<UInt64>(0)
  let deviceReads = Atomic<UInt64>(0)
  let sharedReads = Atomic<UInt64>(0)
  let corruptReads = Atomic<UInt64>(0)
  let userBytes = Atomic<UInt64>(0)
  let frameBytes = Atomic<UInt64>(0)
  let paddingBytes = Atomic<UInt64>(0)
  let metadataBytes = Atomic<UInt64>(0)
  let checkpointBytes = Atomic<UInt64>(0)
  let frames = Atomic<UInt64>(0)
  let flushes = Atomic<UInt64>(0)
  let freedSegments = Atomic<UInt64>(0)
  let deadTombstones = Atomic<UInt64>(0)
  let compactedSegments = Atomic<UInt64>(0)
  let relocatedRecords = Atomic<UInt64>(0)
  let relocationBytes = Atomic<UInt64>(0)
  let reclaimedBytes = Atomic<UInt64>(0)
  let summaryBytes = Atomic<UInt64>(0)
  let discardedBytes = Atomic<UInt64>(0)
  let discardFailures = Atomic<UInt64>(0)
  let spaceWaits = Atomic<UInt64>(0)
  let spaceWaitNanoseconds = Atomic<UInt64>(0)

  @inline(__always)
  func add(_ counter: borrowing Atomic<UInt64>, _ amount: Int = 1) {
    counter.wrappingAdd(UInt64(truncatingIfNeeded: amount), ordering: .relaxed)
  }

  @inline(__always)
  func value(_ counter: borrowing Atomic<UInt64>) -> UInt64 { counter.load(ordering: .relaxed) }
}
