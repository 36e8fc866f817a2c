import VarveFormat

/// The index while it is rebuilt: records are applied in the order of the log, so the last one
/// applied is the newest.
struct RecoveredIndex {
  private(set) var index: RecordIndex
  private let byteLimit: Int
  /// Records met so far, an upper bound of the keys.
  private(set) var recordCount = 0

  init(byteLimit: Int, shardCount: Int) {
    self.byteLimit = byteLimit
    index = RecordIndex(shardCount: shardCount, byteLimit: byteLimit)
  }

  /// Begins anew, after a checkpoint turned out to be void.
  mutating func reset(shardCount: Int) {
    index = RecordIndex(shardCount: shardCount, byteLimit: byteLimit)
    recordCount = 0
  }

  mutating func apply(_ hash: KeyHash, _ location: RecordLocation) throws(StoreError) {
    recordCount += 1
    do throws(IndexFull) {
      _ = try index.upsert(hash, location.rawValue)
    } catch {
      let needed = RecoveredIndex.neededByteCount(recordCount: recordCount * 2)
      throw StoreError(
        .resource,
        "the index of this store does not fit the memory budget: \(byteLimit) bytes are left for "
          + "it, and at least \(recordCount) records are to be indexed. Open it with a memory "
          + "budget of \(needed) bytes (\(MemoryPlan.mebibytes(needed)))")
    }
  }

  mutating func apply(_ records: some Collection<SummaryEntry>) throws(StoreError) {
    for record in records { try apply(record.hash, record.location) }
  }

  /// Bytes of budget that an index of so many records takes, other memory included.
  static func neededByteCount(recordCount: Int) -> Int {
    recordCount * 20 + MemoryPlan.minimumByteCount
  }
}
