import VarveFormat

/// A key-value store on a block device or a preallocated file.
///
/// A store is one log: writes are appended in the order of one sequence, grouped into frames, and
/// found again through an index in memory, so that a write reads nothing and a read costs at most
/// one request to the device. All operations may be called from any task; none has an affinity.
///
/// ```swift
/// let path = "/var/tmp/carts.varve"
/// try await Store.create(path: path, options: FormatOptions(byteCount: 1 << 30))
/// let store = try await Store.open(path: path)
/// try await store.put("cart:17", "3 apples")
/// if let cart = try await store.get("cart:17") { print(cart.sequence) }
/// try await store.close()
/// ```
///
/// A store should be closed. One that is dropped instead logs that, ends its threads and is
/// recovered at the next open, which loses nothing that was acknowledged at the level asked for.
public final class Store: Sendable {
  let core: StoreCore

  init(core: StoreCore) { self.core = core }

  deinit { core.abandon() }

  /// What the open had to do.
  public var recoveryReport: RecoveryReport { core.report }

  /// What the store can do right now. Costs a load from memory.
  public var health: StoreHealth { core.health.current }

  /// What happens to the store: first how it was opened and, where it is not healthy, its health;
  /// then everything from now on. Each call gives a sequence of its own, which ends when the store
  /// is closed or dropped; a reader that falls 256 events behind loses the oldest. It does not keep
  /// the store alive.
  public var events: AsyncStream<StoreEvent> { core.health.subscribe(core.report) }

  /// Counters since the store was opened, and what it takes now. Costs a few microseconds.
  public var statistics: StoreStatistics { core.statistics() }

  /// What each segment is and how much of it is live, in the order of the device. Costs a
  /// microsecond for each segment, no I/O, and stops nobody.
  public var segments: [SegmentInfo] { core.segmentSnapshot().infos }

  /// The longest value that this store takes, in bytes: the lesser of 16 MiB and what fits a
  /// segment.
  public var maximumValueByteCount: Int { core.geometry.maximumValueByteCount }

  /// The threads of the store's I/O, as an executor for the tasks that use the store.
  ///
  /// - Warning: Code that blocks there, or computes for long, stalls the storage of every task on
  ///   its thread. When a thread has run tasks for more than 5 ms without taking completions, that
  ///   is counted in `StoreStatistics.loopStallCount` and logged as `loopStall`. <doc:Executors>
  ///   says what belongs there, and what it brings.
  ///
  /// The threads start at the first call and end with the store and the last task on them; tasks on
  /// them go on after `close()`. Where no thread can be started, which is logged, it is the global
  /// executor. Tasks that run elsewhere may use the store as they like.
  public var executor: any TaskExecutor { core.executor() }

  /// Makes everything durable that was acknowledged before the call.
  ///
  /// Durable on return: every write that returned before `sync` was called, at whatever level.
  /// Cost: what is buffered is written, and one flush, shared with whoever asks at the same time;
  /// nothing where all is durable already. In a read-only store there is nothing to do.
  /// - Throws: `indeterminate` where the flush failed; `poisoned`, `closed`.
  public func sync() async throws(StoreError) { try await core.sync() }

  /// Writes a checkpoint of the index, so that the next open has less to read.
  ///
  /// Durable on return: the checkpoint and every write before it. A checkpoint is a cache of the
  /// log: where no space is left for one, the call returns without it. The store writes checkpoints
  /// on its own too, as `StoreOptions.recoveryTimeTargetSeconds` asks. Cost: 20 bytes written for
  /// each key; reads and writes go on meanwhile.
  /// - Throws: `io`, `poisoned`, `closed`, `readOnly`.
  public func checkpoint() async throws(StoreError) { try await core.checkpoint() }

  /// Compacts until no segment would give back an eighth of itself, and lets the tombstones die
  /// that nothing needs any more.
  ///
  /// The store compacts on its own as space gets short; this is for before a backup, or a quiet
  /// hour. Reads and writes go on meanwhile. Durable on return: every write before it, and
  /// everything that moved. Cost: reads the segments that it empties, and the summaries of all
  /// where there are tombstones; writes what is live in them.
  /// - Throws: `indeterminate` where a flush failed; `poisoned`, `closed`, `readOnly`.
  public func compact() async throws(StoreError) { try await core.compact() }

  /// Finishes accepted work, makes it durable, marks the store clean and releases the device.
  ///
  /// Operations that begin afterwards fail with `closed`. Idempotent: a second call waits for the
  /// first and ends as it did. A poisoned store is released too, without being marked clean.
  /// Durable on return: every write that was accepted. Cost: a flush, or a checkpoint where much
  /// was written since the last. Cancellation is not honoured.
  /// - Throws: `poisoned`, or `io` where the store could not be marked clean; the device is
  ///   released all the same, and the next open recovers.
  public func close() async throws(StoreError) { try await core.close() }
}
