// Reads. A hit in the write buffer or the cache answers without suspending; a miss is one request
// to the device for the pages that hold the record.

import VarveFormat

extension Store {
  /// Lends the value of a key to `body`, without copying it: the bytes are valid until it returns.
  ///
  /// - Returns: what `body` returned, or nil where the key has no value.
  /// - Throws: `corrupt`, `suspect`, `hashCollision`, `io`, `closed`, `cancelled`.
  public func withValue<Result>(
    for key: RawSpan, _ body: (_ value: RawSpan, _ sequence: UInt64) -> Result
  ) async throws(StoreError) -> Result? {
    try await core.withValue(for: key, body)
  }

  /// Lends the value of a key to `body`.
  ///
  /// - Throws: as `withValue(for:_:)` of borrowed bytes.
  public func withValue<Result>(
    for key: [UInt8], _ body: (_ value: RawSpan, _ sequence: UInt64) -> Result
  ) async throws(StoreError) -> Result? {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await withValue(for: key.span.bytes, body)
  }

  /// Lends the value of a key to `body`.
  ///
  /// - Throws: as `withValue(for:_:)` of borrowed bytes.
  public func withValue<Result>(
    for key: String, _ body: (_ value: RawSpan, _ sequence: UInt64) -> Result
  ) async throws(StoreError) -> Result? {
    try await withValue(for: [UInt8](key.utf8), body)
  }

  /// The value of a key and the sequence number of the write that set it, or nil.
  ///
  /// - Throws: as `withValue(for:_:)`.
  public func get(_ key: RawSpan) async throws(StoreError) -> VersionedValue? {
    try await withValue(for: key) { VersionedValue(value: $0.copied(), sequence: $1) }
  }

  /// The value of a key and the sequence number of the write that set it, or nil.
  ///
  /// - Throws: as `withValue(for:_:)`.
  public func get(_ key: [UInt8]) async throws(StoreError) -> VersionedValue? {
    try await withValue(for: key) { VersionedValue(value: $0.copied(), sequence: $1) }
  }

  /// The value of a key and the sequence number of the write that set it, or nil.
  ///
  /// - Throws: as `withValue(for:_:)`.
  public func get(_ key: String) async throws(StoreError) -> VersionedValue? {
    try await get([UInt8](key.utf8))
  }

  /// Whether a key has a value. Answers from the index, without a read: a fingerprint collision
  /// (below 10⁻¹⁵ a key) is not noticed here.
  ///
  /// - Throws: `suspect`, `closed`.
  public func contains(_ key: [UInt8]) throws(StoreError) -> Bool {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try core.contains(key.span.bytes)
  }

  /// Whether a key has a value.
  ///
  /// - Throws: as `contains(_:)` of bytes.
  public func contains(_ key: String) throws(StoreError) -> Bool {
    try contains([UInt8](key.utf8))
  }

  /// The values of many keys, in their order, nil for those without one. All reads are in flight
  /// together, at most 256 at a time.
  ///
  /// - Throws: the first error met; the other reads are finished first.
  public func multiGet(_ keys: [[UInt8]]) async throws(StoreError) -> [VersionedValue?] {
    try await core.multiGet(keys)
  }

  /// The values of many keys, in their order.
  ///
  /// - Throws: as `multiGet(_:)` of bytes.
  public func multiGet(_ keys: [String]) async throws(StoreError) -> [VersionedValue?] {
    try await multiGet(keys.map { [UInt8]($0.utf8) })
  }

  /// All live records, in no useful order. A key that has a value throughout the iteration is met
  /// exactly once, whatever is written or moved meanwhile; one that is put or deleted meanwhile may
  /// be met or not. The memory taken is bounded by one index shard and 64 reads.
  public var records: Records { Records(core: core) }
}
