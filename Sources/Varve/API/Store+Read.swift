// Reads. A hit in the write buffer or the cache answers without suspending (on `Store.executor`
// every 128th lets others run); a miss is one request to the device for the pages of the record.

import VarveFormat

extension Store {
  /// Lends the value of a key to `body`, without copying it.
  ///
  /// What is read may not be durable yet: readers see a record from the moment it is queued. Cost:
  /// a hit in memory answers without suspending, except that on `Store.executor` every 128th answer
  /// of a thread lets others run; a miss is one request to the device, which concurrent misses of
  /// the key share, and waits for memory where all that reads may take is in use. A key whose
  /// record has expired has no value; the first reader that meets it may wait for a superblock.
  /// `body` is synchronous, does not throw, and runs in the caller's isolation, whose state it may
  /// change. A cancelled read returns at once, also while the device has not answered; a hit is
  /// answered in any case. Works on a poisoned store too.
  /// - Parameters:
  ///   - key: Any bytes; one that is over the limits has no value.
  ///   - body: Is given the value, which is valid until it returns, and the sequence number of the
  ///     write that set it.
  /// - Returns: what `body` returned, or nil where the key has no value.
  /// - Throws: `corrupt`, `suspect`, `hashCollision`, `io`, `closed`, `cancelled`.
  public func withValue<Result>(
    for key: RawSpan, _ body: (_ value: RawSpan, _ sequence: UInt64) -> Result
  ) async throws(StoreError) -> Result? {
    try await core.withValue(for: key, body)
  }

  /// Lends the value of a key that is an array to `body`.
  ///
  /// - Returns: what `body` returned, or nil where the key has no value.
  /// - Throws: as `withValue(for:_:)` of borrowed bytes, which says the rest.
  public func withValue<Result>(
    for key: [UInt8], _ body: (_ value: RawSpan, _ sequence: UInt64) -> Result
  ) async throws(StoreError) -> Result? {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await withValue(for: key.span.bytes, body)
  }

  /// Lends the value of a key that is text to `body`.
  ///
  /// - Returns: what `body` returned, or nil where the key has no value.
  /// - Throws: as `withValue(for:_:)` of borrowed bytes, which says the rest.
  public func withValue<Result>(
    for key: String, _ body: (_ value: RawSpan, _ sequence: UInt64) -> Result
  ) async throws(StoreError) -> Result? {
    try await withValue(for: [UInt8](key.utf8), body)
  }

  /// The value of a key, copied, the sequence number of the write that set it, and how long it has
  /// left where it expires; or nil.
  ///
  /// Cost, cancellation and isolation: as `withValue(for:_:)`, and one copy.
  /// - Throws: `corrupt`, `suspect`, `hashCollision`, `io`, `closed`, `cancelled`.
  public func get(_ key: RawSpan) async throws(StoreError) -> VersionedValue? {
    try await core.get(key)
  }

  /// The value of a key that is an array, and the sequence number of the write that set it, or nil.
  ///
  /// - Throws: as `get(_:)` of borrowed bytes.
  public func get(_ key: [UInt8]) async throws(StoreError) -> VersionedValue? {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await get(key.span.bytes)
  }

  /// The value of a key that is text, and the sequence number of the write that set it, or nil.
  ///
  /// - Throws: as `get(_:)` of borrowed bytes.
  public func get(_ key: String) async throws(StoreError) -> VersionedValue? {
    try await get([UInt8](key.utf8))
  }

  /// Whether a key has a value. Answers from the index, without a read and without suspending: a
  /// fingerprint collision (below 10⁻¹⁵ a key) and damage of the record are not noticed here. Only
  /// where the record has an expiry it is read, as by `get(_:)`.
  ///
  /// - Throws: `suspect`, `closed`; of a record with an expiry as `get(_:)`.
  public func contains(_ key: RawSpan) async throws(StoreError) -> Bool {
    try await core.contains(key)
  }

  /// Whether a key that is an array has a value.
  ///
  /// - Throws: as `contains(_:)` of borrowed bytes.
  public func contains(_ key: [UInt8]) async throws(StoreError) -> Bool {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await contains(key.span.bytes)
  }

  /// Whether a key that is text has a value.
  ///
  /// - Throws: as `contains(_:)` of borrowed bytes.
  public func contains(_ key: String) async throws(StoreError) -> Bool {
    try await contains([UInt8](key.utf8))
  }

  /// The values of many keys, in their order, nil for those without one.
  ///
  /// All reads that are needed are in flight together, at most 256 at a time; a key that is named
  /// twice is read once. The values are not a snapshot: each is current at a moment of its own.
  /// - Throws: the first error met, as `get(_:)`; all other reads have ended by then, or were left
  ///   behind by a cancellation, which is honoured at once.
  public func multiGet(_ keys: [[UInt8]]) async throws(StoreError) -> [VersionedValue?] {
    try await core.multiGet(keys)
  }

  /// The values of many keys that are text, in their order, nil for those without one.
  ///
  /// - Throws: as `multiGet(_:)` of arrays, which says the rest.
  public func multiGet(_ keys: [String]) async throws(StoreError) -> [VersionedValue?] {
    try await multiGet(keys.map { [UInt8]($0.utf8) })
  }

  /// All live records, in no useful order.
  ///
  /// A key that has a value throughout the iteration is met exactly once, whatever is written or
  /// moved meanwhile; one that is put or deleted meanwhile is met once or not at all. Each value is
  /// current when it is read: this is no snapshot. The memory taken is bounded by one index shard
  /// (16,384 entries) and 64 records. Gets and puts go on meanwhile.
  public var records: Records { Records(store: self) }
}
