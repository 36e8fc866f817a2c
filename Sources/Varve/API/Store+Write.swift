// Writes. Each exists for borrowed bytes, and for strings and arrays on top of it.

extension Store {
  /// Sets the value of a key, whatever it was.
  ///
  /// Durable on return: what `durability` says. Cost: no read; the caller's share of one frame and,
  /// where durable, of one flush. Cancellation is honoured until the write is queued.
  /// - Returns: the sequence number of the write.
  /// - Throws: `tooLarge`, `full` and `resource` before any I/O; `indeterminate`, `poisoned`,
  ///   `readOnly`, `closed`, `cancelled`.
  @discardableResult
  public func put(
    _ key: RawSpan, _ value: RawSpan, durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await core.put(key, value, durability: durability)
  }

  /// Sets the value of a key, whatever it was.
  ///
  /// - Throws: as `put(_:_:durability:)` of borrowed bytes.
  @discardableResult
  public func put(
    _ key: String, _ value: String, durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await put([UInt8](key.utf8), [UInt8](value.utf8), durability: durability)
  }

  /// Sets the value of a key, whatever it was.
  ///
  /// - Throws: as `put(_:_:durability:)` of borrowed bytes.
  @discardableResult
  public func put(
    _ key: String, _ value: [UInt8], durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await put([UInt8](key.utf8), value, durability: durability)
  }

  /// Sets the value of a key, whatever it was.
  ///
  /// - Throws: as `put(_:_:durability:)` of borrowed bytes.
  @discardableResult
  public func put(
    _ key: [UInt8], _ value: [UInt8], durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await put(key.span.bytes, value.span.bytes, durability: durability)
  }

  /// Sets the value of a key if the condition holds.
  ///
  /// Durable on return: what `durability` says, also of the record that stood in the way.
  /// Cost: reads the current record, from memory or with one request to the device.
  /// - Throws: as `put(_:_:durability:)`, and the errors of reading.
  public func put(
    _ key: [UInt8], _ value: [UInt8], condition: WriteCondition,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await core.write(
      key: key, value: value, condition: condition, durability: durability)
  }

  /// Sets the value of a key if the condition holds.
  ///
  /// - Throws: as `put(_:_:condition:durability:)` of arrays.
  public func put(
    _ key: String, _ value: String, condition: WriteCondition, durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await put(
      [UInt8](key.utf8), [UInt8](value.utf8), condition: condition, durability: durability)
  }

  /// Removes a key. Where it has no value, nothing is written.
  ///
  /// Durable on return: what `durability` says. Cost: as a put; no read.
  /// - Returns: the sequence number of the tombstone, or nil where there was nothing to delete.
  /// - Throws: as `put(_:_:durability:)`; a full store still takes deletes, from a reserve.
  @discardableResult
  public func delete(
    _ key: RawSpan, durability: Durability = .durable
  ) async throws(StoreError) -> UInt64? {
    try await core.delete(key, durability: durability)
  }

  /// Removes a key.
  ///
  /// - Throws: as `delete(_:durability:)` of borrowed bytes.
  @discardableResult
  public func delete(
    _ key: [UInt8], durability: Durability = .durable
  ) async throws(StoreError) -> UInt64? {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await delete(key.span.bytes, durability: durability)
  }

  /// Removes a key.
  ///
  /// - Throws: as `delete(_:durability:)` of borrowed bytes.
  @discardableResult
  public func delete(
    _ key: String, durability: Durability = .durable
  ) async throws(StoreError) -> UInt64? {
    try await delete([UInt8](key.utf8), durability: durability)
  }

  /// Removes a key if the condition holds.
  ///
  /// - Throws: as `put(_:_:condition:durability:)`.
  public func delete(
    _ key: [UInt8], condition: WriteCondition, durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await core.write(key: key, value: nil, condition: condition, durability: durability)
  }

  /// Applies a batch: all of it or, where a condition does not hold, nothing.
  ///
  /// Durable on return: what `durability` says. An empty batch writes nothing and has the sequence
  /// number of the last write.
  /// - Throws: as `put(_:_:condition:durability:)`.
  public func write(
    _ batch: Batch, durability: Durability = .durable
  ) async throws(StoreError) -> BatchOutcome {
    try await core.write(batch, durability: durability)
  }

  /// What an update does to a key.
  public enum Update: Hashable, Sendable {
    /// Sets the value.
    case put([UInt8])
    /// Removes the key.
    case delete
    /// Leaves it as it is.
    case keep
  }

  /// Reads a key, lets `transform` decide, and writes if nobody wrote meanwhile; else again, at
  /// most `maximumAttemptCount` times.
  ///
  /// - Returns: the sequence number of the write, or nil where nothing was written.
  /// - Throws: `conflict` after the last attempt; the errors of reading and writing.
  @discardableResult
  public func update(
    _ key: [UInt8], durability: Durability = .durable, maximumAttemptCount: Int = 64,
    _ transform: (VersionedValue?) -> Update
  ) async throws(StoreError) -> UInt64? {
    for _ in 0..<max(1, maximumAttemptCount) {
      let current = try await get(key)
      let condition: WriteCondition =
        if let current { .ifSequence(current.sequence) } else { .ifAbsent }
      let outcome: WriteOutcome
      switch transform(current) {
      case .keep:
        return nil
      case .put(let value):
        outcome = try await put(key, value, condition: condition, durability: durability)
      case .delete:
        guard current != nil else { return nil }
        outcome = try await delete(key, condition: condition, durability: durability)
      }
      if case .applied(let sequence) = outcome { return sequence }
    }
    throw StoreError(
      .conflict, "the key changed during each of \(maximumAttemptCount) attempts; try again")
  }

  /// Reads, transforms and writes a key, as `update` of bytes.
  ///
  /// - Throws: as `update` of bytes.
  @discardableResult
  public func update(
    _ key: String, durability: Durability = .durable, maximumAttemptCount: Int = 64,
    _ transform: (VersionedValue?) -> Update
  ) async throws(StoreError) -> UInt64? {
    try await update(
      [UInt8](key.utf8), durability: durability, maximumAttemptCount: maximumAttemptCount,
      transform)
  }
}
