// Unconditional puts: one for borrowed bytes, which does the work, and one for each way to bring
// a key and a value: borrowed bytes, an array, text.

extension Store {
  /// Sets the value of a key, whatever it was.
  ///
  /// Readers see the value from the moment it is queued, before the call returns. Durable on
  /// return: what `durability` says. Cost: no read (to keep an expiry that the key has, that of the
  /// conditional put); the caller's share of one frame and, where
  /// durable, of one flush, which concurrent writers share. While too many bytes are queued the
  /// call suspends. Cancellation is honoured until the write is queued, never after. May be called
  /// from any isolation; the bytes are borrowed until the call returns.
  /// - Parameters:
  ///   - key: 1 to 4,096 bytes.
  ///   - value: 0 to `maximumValueByteCount` bytes.
  ///   - expiry: When the key ceases to have a value. The first expiry of a store's life waits for
  ///     its superblock.
  ///   - durability: What the write has survived when the call returns.
  /// - Returns: the sequence number of the write: higher than that of every earlier write.
  /// - Throws: `usage` (the expiry), `tooLarge`, `full` and `resource` before any I/O;
  ///   `indeterminate`, `poisoned`, `readOnly`, `closed`, `cancelled`; to keep an expiry also what
  ///   a read throws: `corrupt`, `hashCollision`, `io`.
  @discardableResult
  public func put(
    _ key: RawSpan, _ value: RawSpan, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await core.put(key, value, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is borrowed bytes, the value an array.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: RawSpan, _ value: [UInt8], expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await put(key, value.span.bytes, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is borrowed bytes, the value text.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: RawSpan, _ value: String, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await put(key, [UInt8](value.utf8), expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is an array, the value borrowed bytes.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: [UInt8], _ value: RawSpan, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await put(key.span.bytes, value, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is an array, the value an array.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: [UInt8], _ value: [UInt8], expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    // SAFETY: the bytes of an array of bytes have no padding.
    unsafe try await put(key.span.bytes, value.span.bytes, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is an array, the value text.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: [UInt8], _ value: String, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await put(key, [UInt8](value.utf8), expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is text, the value borrowed bytes.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: String, _ value: RawSpan, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await put([UInt8](key.utf8), value, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is text, the value an array.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: String, _ value: [UInt8], expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await put([UInt8](key.utf8), value, expiry: expiry, durability: durability)
  }

  /// Sets the value of a key: the key is text, the value text.
  ///
  /// - Returns: the sequence number of the write.
  /// - Throws: as `put(_:_:expiry:durability:)` of borrowed bytes, which says the rest.
  @discardableResult
  public func put(
    _ key: String, _ value: String, expiry: Expiry = .never,
    durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    try await put([UInt8](key.utf8), [UInt8](value.utf8), expiry: expiry, durability: durability)
  }
}
