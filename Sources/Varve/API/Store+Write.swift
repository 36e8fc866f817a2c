extension Store {
  /// Applies a batch: all of it or, where a condition does not hold, nothing; also across a crash.
  ///
  /// Readers may see the first records of a batch a moment before the last. Durable on return: what
  /// `durability` says; where the batch is refused, that level holds for the record that stands in
  /// the way. An empty batch writes nothing and has the sequence number of the last write. Cost:
  /// one frame; for each condition or kept expiry, a read of the current record. Cancellation and
  /// isolation: as `put(_:_:expiry:durability:)`.
  /// - Parameters:
  ///   - batch: At most 65,536 operations, and 8 MiB or half a segment of keys and values,
  ///     whichever is less.
  ///   - durability: What the batch has survived when the call returns.
  /// - Returns: whether the batch took effect; one without conditions always has.
  /// - Throws: `usage` (an expiry), `tooLarge`, `full` and `resource` before any write, and then
  ///   nothing of the batch has taken effect; `indeterminate`, `poisoned`, `readOnly`, `closed`,
  ///   `cancelled`; where it has conditions or keeps expiries `corrupt`, `suspect`,
  ///   `hashCollision`, `io`.
  public func write(
    _ batch: Batch, durability: Durability = .durable
  ) async throws(StoreError) -> BatchOutcome {
    try await core.write(batch, durability: durability)
  }
}
