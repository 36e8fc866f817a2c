// Read, transform, write if nobody wrote meanwhile: a bounded loop over conditional writes.

extension Store {
  /// What an update does to a key.
  public enum Update: Hashable, Sendable {
    /// Sets the value. The expiry that the key has stays, unless another is named: an update
    /// changes a value, where a put replaces a record.
    case put([UInt8], expiry: Expiry = .keep)
    /// Removes the key.
    case delete
    /// Leaves it as it is.
    case keep

    /// Sets the value to text.
    public static func put(_ text: String, expiry: Expiry = .keep) -> Update {
      .put([UInt8](text.utf8), expiry: expiry)
    }
  }

  /// Reads a key, lets `transform` decide, and writes if nobody wrote meanwhile; else again, at
  /// most `maximumAttemptCount` times.
  ///
  /// Durable on return: what `durability` says, where something was written; after `.keep`, nothing
  /// is. Cost: a get and a conditional write for each attempt. `transform` runs once for each
  /// attempt, in the caller's isolation, and may change the caller's state. Cancellation is
  /// honoured until the write of an attempt is queued.
  /// - Parameters:
  ///   - key: 1 to 4,096 bytes.
  ///   - durability: What the write has survived when the call returns.
  ///   - maximumAttemptCount: The bound of the loop, at least 1.
  ///   - transform: Is given the current value, or nil, and says what becomes of it.
  /// - Returns: the sequence number of the write, or nil where nothing was written.
  /// - Throws: `conflict` after the last attempt; as `get(_:)` and
  ///   `put(_:_:condition:expiry:durability:)`.
  @discardableResult
  public func update(
    _ key: RawSpan, durability: Durability = .durable, maximumAttemptCount: Int = 64,
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
      case .put(let value, let expiry):
        // SAFETY: the bytes of an array of bytes have no padding.
        outcome = unsafe try await put(
          key, value.span.bytes, condition: condition, expiry: expiry, durability: durability)
      case .delete:
        guard current != nil else { return nil }
        outcome = try await delete(key, condition: condition, durability: durability)
      }
      if case .applied(let sequence) = outcome { return sequence }
    }
    throw StoreError(
      .conflict,
      "the key changed during each of \(max(1, maximumAttemptCount)) attempts; try again, or "
        + "allow more attempts")
  }

  /// Reads, transforms and writes a key that is an array.
  ///
  /// - Returns: the sequence number of the write, or nil where nothing was written.
  /// - Throws: as `update` of borrowed bytes, which says the rest.
  @discardableResult
  public func update(
    _ key: [UInt8], durability: Durability = .durable, maximumAttemptCount: Int = 64,
    _ transform: (VersionedValue?) -> Update
  ) async throws(StoreError) -> UInt64? {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await update(
      key.span.bytes, durability: durability, maximumAttemptCount: maximumAttemptCount, transform)
  }

  /// Reads, transforms and writes a key that is text.
  ///
  /// - Returns: the sequence number of the write, or nil where nothing was written.
  /// - Throws: as `update` of borrowed bytes, which says the rest.
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
