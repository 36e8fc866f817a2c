extension Store {
  /// Makes the store larger while it is in use.
  ///
  /// A file is made longer and filled with zeros; of a block device the store takes up what it has
  /// gained. Reads and writes go on meanwhile, and a full store takes writes again. Where the store
  /// is smaller than its file or device, because somebody enlarged that or a growth was
  /// interrupted, nil takes all of it.
  ///
  /// Durable on return: the new size. After a crash in the middle the store opens at the old size
  /// or at the new one; a file may be longer than its store then, which the next growth takes up.
  /// Where it fails, the store is as it was, and a file has its old length back, unless it failed
  /// after it had been filled.
  ///
  /// Cost: writes the new part of a file once, then a few pages and five flushes, for which no
  /// segment is opened or freed. Memory: 128 bytes for each new segment, which the cache gives up.
  /// - Parameters:
  ///   - byteCount: The bytes of the store, in whole pages; nil takes what is there.
  ///   - progress: Called now and then while a file is filled: bytes done, bytes in all.
  /// - Returns: what the store was and what it is.
  /// - Throws: `usage` (no larger, or more than the device has); `refused` (smaller, or more than
  ///   `GrowthPlan.maximumByteCount`, to which the store has room to grow); `full` (the file system
  ///   has no space); `resource` (the memory budget does not suffice); `conflict` (it is growing
  ///   already); `cancelled`, before anything was changed; `io`, `poisoned`, `closed`, `readOnly`.
  @discardableResult
  public func grow(
    toByteCount byteCount: UInt64? = nil,
    progress: (@Sendable (_ byteCountDone: UInt64, _ byteCount: UInt64) -> Void)? = nil
  ) async throws(StoreError) -> GrowthPlan {
    try await core.grow(toByteCount: byteCount, progress: progress)
  }

  /// What `grow` would do. Changes nothing and costs a look at the device.
  ///
  /// - Throws: as `grow`, of what can be known before.
  public func growthPlan(toByteCount byteCount: UInt64? = nil) throws(StoreError) -> GrowthPlan {
    try core.growthPlan(toByteCount: byteCount)
  }

  /// What `grow` would do to the store at a path, read without a lock: also of one in use. Writes
  /// nothing, and knows nothing of the memory budget that it will be opened with.
  ///
  /// - Throws: `notFound`, `refused`, `usage`, `full` (the file system has no space), `io`.
  public static func growthPlan(
    path: String, toByteCount byteCount: UInt64? = nil
  ) async throws(StoreError) -> GrowthPlan {
    try await GrowthPlan.read(path: path, wanted: byteCount)
  }
}
