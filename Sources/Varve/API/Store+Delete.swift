// Deletes, blind and conditional.

extension Store {
  /// Removes a key. Where it has no value, nothing is written.
  ///
  /// Readers miss the key from the moment the tombstone is queued. Durable on return: what
  /// `durability` says, also of an earlier delete that already removed the key. Cost: no read, but
  /// of a key whose record has an expiry: where that has come, there is nothing to delete; one
  /// small record, as for a put. Cancellation and isolation: as `put(_:_:expiry:durability:)`.
  /// - Parameters:
  ///   - key: 1 to 4,096 bytes.
  ///   - durability: What the delete has survived when the call returns.
  /// - Returns: the sequence number of the tombstone, or nil where there was nothing to delete.
  /// - Throws: `tooLarge`; `full` only once the reserve for deletes is used up too;
  ///   `indeterminate`, `poisoned`, `readOnly`, `closed`, `cancelled`.
  @discardableResult
  public func delete(
    _ key: RawSpan, durability: Durability = .durable
  ) async throws(StoreError) -> UInt64? {
    try await core.delete(key, durability: durability)
  }

  /// Removes a key that is an array.
  ///
  /// - Returns: the sequence number of the tombstone, or nil where there was nothing to delete.
  /// - Throws: as `delete(_:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func delete(
    _ key: [UInt8], durability: Durability = .durable
  ) async throws(StoreError) -> UInt64? {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await delete(key.span.bytes, durability: durability)
  }

  /// Removes a key that is text.
  ///
  /// - Returns: the sequence number of the tombstone, or nil where there was nothing to delete.
  /// - Throws: as `delete(_:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func delete(
    _ key: String, durability: Durability = .durable
  ) async throws(StoreError) -> UInt64? {
    try await delete([UInt8](key.utf8), durability: durability)
  }

  /// Removes a key if the condition holds; judged and written as one step. A key without a value
  /// is never removed: the delete is refused, whatever the condition.
  ///
  /// Durable on return, cost, cancellation and isolation: as
  /// `put(_:_:condition:expiry:durability:)`.
  /// - Parameters:
  ///   - key: 1 to 4,096 bytes.
  ///   - condition: What the key's current record must be.
  ///   - durability: What the delete has survived when the call returns.
  /// - Returns: whether the delete took effect.
  /// - Throws: as `delete(_:durability:)`; of the read `corrupt`, `suspect`, `hashCollision`, `io`.
  public func delete(
    _ key: RawSpan, condition: WriteCondition, durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await core.write(
      key: key, value: nil, condition: condition, expiry: .never, durability: durability)
  }

  /// Removes a key that is an array if the condition holds.
  ///
  /// - Returns: whether the delete took effect.
  /// - Throws: as `delete(_:condition:durability:)` of borrowed bytes, which says the rest.
  public func delete(
    _ key: [UInt8], condition: WriteCondition, durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await delete(key.span.bytes, condition: condition, durability: durability)
  }

  /// Removes a key that is text if the condition holds.
  ///
  /// - Returns: whether the delete took effect.
  /// - Throws: as `delete(_:condition:durability:)` of borrowed bytes, which says the rest.
  public func delete(
    _ key: String, condition: WriteCondition, durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await delete([UInt8](key.utf8), condition: condition, durability: durability)
  }
}
