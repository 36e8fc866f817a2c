import Synchronization

// One of the index's many small tables, with its own lock and its own cache line. It is rebuilt an
// eighth larger when it is full and smaller when it is nearly empty: work bounded by the shard, so
// that no caller waits long for the index to grow.
//
// Invariants
// - entryCount + promisedCount never exceeds what the table is made to hold, except that entries
//   which were removed under a promise and came back stand in for promises that were not used.
// - While pinCount > 0 the table never shrinks: whoever prepared inserts relies on the room.

/// What the lock of a shard guards. Its functions take the arena and the shard's number, which all
/// shards share or know from their place.
struct IndexShardState: Sendable {
  private(set) var table: IndexTable?
  private(set) var entryCount: UInt32 = 0
  /// Inserts of absent keys that must not fail.
  private(set) var promisedCount: UInt32 = 0
  /// Upserts that were prepared and have not happened yet.
  private(set) var pinCount: UInt32 = 0

  /// A table with less than 2/5 of its slots used shrinks, to a load of about 3/4.
  private static let shrinkNumerator = 2
  private static let shrinkDenominator = 5

  // MARK: Operations

  /// The location word of a fingerprint, 0 if it has none.
  @inline(__always)
  func find(_ fingerprint: UInt64) -> UInt64 {
    guard let table, let slot = table.find(fingerprint) else { return 0 }
    return table.word(at: slot)
  }

  /// Sets the location word and returns the one before, 0 if there was none. Uses up a promise.
  mutating func upsert(
    _ entry: IndexEntry, shardIndex: Int, arena: PageArena
  ) throws(IndexFull) -> UInt64 {
    if let table, let slot = table.find(entry.fingerprint) {
      let previous = table.word(at: slot)
      table.setWord(entry.locationWord, at: slot)
      usePin(inserted: false)
      return previous
    }
    try makeRoom(forAdditional: 1, shardIndex: shardIndex, arena: arena)
    guard let table else { preconditionFailure("a shard with room has a table") }
    let furthest = table.insert(entry)
    entryCount += 1
    usePin(inserted: true)
    if furthest >= IndexTable.comfortableDistance, Int(entryCount) >= table.bucketCount * 2 {
      // Long searches are slow, not wrong: where there is no memory, they stay.
      try? grow(toHold: Int(entryCount), shardIndex: shardIndex, arena: arena)
    }
    return 0
  }

  /// Swaps or removes (`new` 0) the word of a fingerprint if it is `expected`.
  mutating func replace(
    _ fingerprint: UInt64, expected: UInt64, with new: UInt64, arena: PageArena
  ) -> Bool {
    guard let table, let slot = table.find(fingerprint), table.word(at: slot) == expected else {
      return false
    }
    guard new == 0 else {
      table.setWord(new, at: slot)
      return true
    }
    table.remove(at: slot)
    entryCount -= 1
    shrinkIfSparse(arena: arena)
    return true
  }

  /// Makes sure that the next upserts of these fingerprints cannot fail; all or nothing.
  mutating func prepare(
    absentCount: Int, upsertCount: Int, shardIndex: Int, arena: PageArena
  ) throws(IndexFull) {
    if absentCount > 0 {
      try makeRoom(
        forAdditional: Int(promisedCount) + absentCount, shardIndex: shardIndex, arena: arena)
    }
    promisedCount += UInt32(absentCount)
    pinCount += UInt32(upsertCount)
  }

  /// Takes back the promise for upserts that will not come.
  mutating func release(upsertCount: Int, arena: PageArena) {
    pinCount -= min(pinCount, UInt32(upsertCount))
    promisedCount = min(promisedCount, pinCount)
    shrinkIfSparse(arena: arena)
  }

  /// Gives the table back; the shard is empty afterwards.
  mutating func removeAll(arena: PageArena) {
    if let table { arena.free(table.block) }
    self = IndexShardState()
  }

  private mutating func usePin(inserted: Bool) {
    guard pinCount > 0 else { return }
    pinCount -= 1
    if inserted, promisedCount > 0 { promisedCount -= 1 }
    promisedCount = min(promisedCount, pinCount)
  }

  // MARK: Growth

  private mutating func makeRoom(
    forAdditional count: Int, shardIndex: Int, arena: PageArena
  ) throws(IndexFull) {
    let needed = Int(entryCount) + count
    guard needed > IndexTable.maximumEntryCount(bucketCount: table?.bucketCount ?? 0) else {
      return
    }
    try grow(toHold: needed, shardIndex: shardIndex, arena: arena)
  }

  private mutating func grow(
    toHold entryCount: Int, shardIndex: Int, arena: PageArena
  ) throws(IndexFull) {
    var bucketCount = table?.bucketCount ?? 0
    repeat {
      bucketCount = Self.grownBucketCount(bucketCount, shardIndex: shardIndex)
    } while IndexTable.maximumEntryCount(bucketCount: bucketCount) < entryCount
    let block = try arena.allocate(byteCount: bucketCount * IndexTable.bucketByteCount)
    rebuild(in: block, arena: arena)
  }

  private mutating func shrinkIfSparse(arena: PageArena) {
    guard pinCount == 0, let table else { return }
    guard entryCount > 0 else { return removeAll(arena: arena) }
    let slotCount = table.bucketCount * IndexTable.entriesPerBucket
    guard table.bucketCount > 1,
      Int(entryCount) * Self.shrinkDenominator < slotCount * Self.shrinkNumerator
    else { return }
    // Four entries a bucket at a load of 3/4 are three.
    let wanted = (Int(entryCount) / 3 + 1) * IndexTable.bucketByteCount
    guard PageArena.roundedByteCount(wanted) < table.block.byteCount,
      // Over the limit for as long as the copy takes: afterwards less is used than before.
      let block = try? arena.allocate(byteCount: wanted, mayExceedLimit: true)
    else { return }
    rebuild(in: block, arena: arena)
  }

  /// Moves all entries to new memory. Both are in the order of fingerprints, so it is two passes
  /// over memory, side by side.
  private mutating func rebuild(in block: PageArena.Block, arena: PageArena) {
    let new = IndexTable(block)
    if let table {
      table.forEach { _ = new.insert($0) }
      arena.free(table.block)
    }
    table = new
  }

  /// The next number of buckets: below a page the next power of two, then an eighth more in whole
  /// pages, rounded up or down by a draw from the shard's number. Shards fill evenly, and without
  /// the draw they would all be rebuilt, and be at their emptiest, at the same time.
  private static func grownBucketCount(_ bucketCount: Int, shardIndex: Int) -> Int {
    let bucketsPerPage = PageArena.pageByteCount / IndexTable.bucketByteCount
    guard bucketCount >= bucketsPerPage else { return max(1, bucketCount * 2) }
    var draw = UInt64(shardIndex) &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(bucketCount)
    draw = (draw ^ draw >> 29) &* 0xbf58_476d_1ce4_e5b9
    let step = bucketCount / 8 + Int(draw >> 58)
    return bucketCount + max(bucketsPerPage, step & ~(bucketsPerPage - 1))
  }

  // MARK: Checks

  /// Traps unless the invariants hold; returns the summed distance of the entries from home.
  func checkInvariants() -> Int {
    guard let table else {
      precondition(entryCount == 0 && promisedCount == 0, "a shard without a table is empty")
      return 0
    }
    let found = table.checkInvariants()
    precondition(found.entryCount == Int(entryCount), "the entries are miscounted")
    precondition(
      found.entryCount <= IndexTable.maximumEntryCount(bucketCount: table.bucketCount),
      "a table is too full")
    precondition(promisedCount <= pinCount, "more promises than upserts to come")
    return found.totalDistance
  }
}

/// A shard as it lies in memory, with its lock.
struct IndexShard: ~Copyable {
  let state = Mutex(IndexShardState())
}
