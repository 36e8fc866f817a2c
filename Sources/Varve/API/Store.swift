import VarveFormat

/// A key-value store on a block device or a preallocated file.
///
/// A store is one log: writes are appended in the order of one sequence, grouped into frames, and
/// found again through an index in memory, so that a write reads nothing and a read costs at most
/// one request to the device. All operations may be called from any task; none has an affinity.
///
/// ```swift
/// try await Store.create(path: "/var/lib/app/carts.varve", options: FormatOptions(byteCount: 1 << 30))
/// let store = try await Store.open(path: "/var/lib/app/carts.varve")
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

  /// What happens to the store from now on. Each call gives a sequence of its own, which ends when
  /// the store closes; a reader that falls 256 events behind loses the oldest.
  public var events: AsyncStream<StoreEvent> { core.health.subscribe() }

  /// Counters and sizes.
  public var statistics: StoreStatistics { core.statistics() }

  /// The longest value that this store takes, in bytes.
  public var maximumValueByteCount: Int { core.geometry.maximumValueByteCount }

  /// Makes everything durable that was acknowledged before the call.
  ///
  /// Durable on return: every write that returned before `sync` was called. Cost: one flush, shared
  /// with whoever asks at the same time.
  /// - Throws: `indeterminate`, `poisoned`, `closed`.
  public func sync() async throws(StoreError) { try await core.sync() }

  /// Writes a checkpoint of the index, so that the next open has less to read.
  ///
  /// Durable on return: the checkpoint and every write before it. A checkpoint is a cache of the
  /// log: where no space is left for one, the call returns without it.
  /// - Throws: `io`, `poisoned`, `closed`, `readOnly`.
  public func checkpoint() async throws(StoreError) { try await core.checkpoint() }

  /// Finishes accepted work, makes it durable, marks the store clean and releases the device.
  ///
  /// Operations that begin afterwards fail with `closed`. Idempotent: a second call waits for the
  /// first. A poisoned store is released too, without being marked clean.
  /// - Throws: `indeterminate` or `poisoned` where buffered writes could not be made durable; the
  ///   device is released all the same.
  public func close() async throws(StoreError) { try await core.close() }
}
