// Conditional puts, for the same ways to bring a key and a value as `Store+Put`.

extension Store {
  /// Sets the value of a key if the condition holds; judged and written as one step.
  ///
  /// Durable on return: what `durability` says; where the write is refused, that level holds for
  /// the record that stands in the way. Cost: reads the current record, from memory or with one
  /// request to the device, then that of a put; begins again where the record changes meanwhile.
  /// Cancellation and isolation: as `put(_:_:expiry:durability:)`.
  /// - Parameters:
  ///   - key: 1 to 4,096 bytes.
  ///   - value: 0 to `maximumValueByteCount` bytes.
  ///   - condition: What the key's current record must be. One that has expired counts as absent.
  ///   - expiry: When the key ceases to have a value. Kept is that of the record that the condition
  ///     was judged by.
  ///   - durability: What the write has survived when the call returns.
  /// - Returns: whether the write took effect: not an error, and not to be ignored.
  /// - Throws: `usage` (the expiry), `tooLarge`, `full` and `resource` before any write;
  ///   `indeterminate`, `poisoned`, `readOnly`, `closed`, `cancelled`; of the read `corrupt`,
  ///   `suspect`, `hashCollision`, `io`.
  public func put(
    _ key: RawSpan, _ value: RawSpan, condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await core.write(
      key: key, value: value, condition: condition, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key if the condition holds: the key is borrowed bytes, the value an array.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: RawSpan, _ value: [UInt8], condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await put(
      key, value.span.bytes, condition: condition, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key if the condition holds: the key is borrowed bytes, the value text.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: RawSpan, _ value: String, condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await put(
      key, [UInt8](value.utf8), condition: condition, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key if the condition holds: the key is an array, the value borrowed bytes.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: [UInt8], _ value: RawSpan, condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await put(
      key.span.bytes, value, condition: condition, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key if the condition holds: the key is an array, the value an array.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: [UInt8], _ value: [UInt8], condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await put(
      key.span.bytes, value.span.bytes, condition: condition, expiry: expiry, durability: durability
    )
  }

  /// Sets the value of a key if the condition holds: the key is an array, the value text.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: [UInt8], _ value: String, condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await put(
      key, [UInt8](value.utf8), condition: condition, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key if the condition holds: the key is text, the value borrowed bytes.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: String, _ value: RawSpan, condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await put(
      [UInt8](key.utf8), value, condition: condition, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key if the condition holds: the key is text, the value an array.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: String, _ value: [UInt8], condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await put(
      [UInt8](key.utf8), value, condition: condition, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key if the condition holds: the key is text, the value text.
  ///
  /// - Returns: whether the write took effect.
  /// - Throws: as `put(_:_:condition:expiry:durability:)` of borrowed bytes, which says the rest.
  public func put(
    _ key: String, _ value: String, condition: WriteCondition, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    try await put(
      [UInt8](key.utf8), [UInt8](value.utf8), condition: condition, expiry: expiry,
      durability: durability)
  }
}
