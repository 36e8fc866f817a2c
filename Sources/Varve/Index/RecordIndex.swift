import Glibc
import Synchronization
import VarveFormat

// The index in memory: from the hash of a key to where its newest record lies, 16 bytes an entry.
// put: `upsert` blindly; get: `find`; compaction: `replace` if unchanged; recovery and checkpoints:
// the functions by shard. Every one takes the lock of one shard and no other lock but the arena's,
// inside it. A search reads only the table, and the arena never unmaps a table (PageArena), so that
// searches validated by a version can come without another layout.

/// A sharded hash index with a hard limit of memory. Nothing depends on the order of anything but
/// the calls and their arguments.
@safe package final class RecordIndex: Sendable {
  /// The most shards: the selector's 24 bits choose among them.
  package static let maximumShardCount = 1 << KeyHash.selectorBitCount
  /// Shards are this large, or half of it, when the index holds what it was made for: small enough
  /// to be rebuilt well within a millisecond, large enough that whole pages waste little of them
  /// long before that.
  package static let entriesPerShard = 16384

  /// A cache line for each shard, so that its lock and its table's address come together and
  /// shards share nothing.
  private static let shardStride = 64

  /// The number of shards, a power of two.
  package let shardCount: Int

  // SAFETY: set once; what it leads to is reached through the shards' locks only.
  private nonisolated(unsafe) let shards: UnsafeMutableRawPointer
  private let selectorShift: UInt32
  private let arena: PageArena
  private let count = Atomic<Int>(0)

  /// An empty index.
  ///
  /// - Parameters:
  ///   - shardCount: A power of two up to 2^24; it stays as it is.
  ///   - byteLimit: Bytes that the index may keep resident, the 64 bytes of each shard included.
  package init(shardCount: Int, byteLimit: Int) {
    precondition(
      shardCount > 0 && shardCount & (shardCount - 1) == 0
        && shardCount <= Self.maximumShardCount, "shards: a power of two up to 2^24")
    precondition(MemoryLayout<IndexShard>.stride <= Self.shardStride, "a shard fits in a line")
    let byteCount = shardCount * Self.shardStride
    guard let memory = unsafe aligned_alloc(Self.shardStride, byteCount) else {
      preconditionFailure("out of memory: \(byteCount) bytes for index shards")
    }
    // SAFETY: each shard has 64 bytes of its own; they are initialised here and deinitialised in
    // deinit, and in between only borrowed, in place, as the lock wants it.
    for shardIndex in 0..<shardCount {
      unsafe (memory + shardIndex * Self.shardStride)
        .initializeMemory(as: IndexShard.self, to: IndexShard())
    }
    unsafe shards = memory
    self.shardCount = shardCount
    selectorShift = UInt32(KeyHash.selectorBitCount - shardCount.trailingZeroBitCount)
    arena = PageArena(byteLimit: byteLimit, overheadByteCount: byteCount)
  }

  /// The memory that the index may use. Where it is lowered, what the index has stays.
  package var byteLimit: Int {
    get { arena.byteLimit }
    set { arena.byteLimit = newValue }
  }

  deinit {
    for shardIndex in 0..<shardCount {
      // SAFETY: nobody borrows a shard any more.
      unsafe shard(shardIndex).deinitialize(count: 1)
    }
    unsafe free(shards)
  }

  /// The number of shards for an index that is to hold up to `keyCount` keys.
  package static func shardCount(forKeyCountUpTo keyCount: Int) -> Int {
    let wanted = max(0, keyCount - 1) / entriesPerShard + 1
    var shardCount = 1
    while shardCount < wanted, shardCount < maximumShardCount { shardCount <<= 1 }
    return shardCount
  }

  // MARK: By hash

  /// The location word of a key, 0 if it has none.
  package func find(_ hash: KeyHash) -> UInt64 {
    find(inShard: shardIndex(of: hash), fingerprint: hash.fingerprint)
  }

  /// Sets the location word of a key, whatever it was, and returns the one before (0 if none).
  ///
  /// - Throws: `IndexFull` if the key is absent, its shard must grow and may not; nothing changed.
  package func upsert(
    _ hash: KeyHash, _ locationWord: UInt64
  ) throws(IndexFull) -> UInt64 {
    try upsert(
      inShard: shardIndex(of: hash), fingerprint: hash.fingerprint, locationWord: locationWord)
  }

  /// Swaps the location word of a key if it is still `expected`; a `new` of 0 removes the entry.
  /// Returns whether it was. Never needs memory.
  package func replace(_ hash: KeyHash, expected: UInt64, with new: UInt64) -> Bool {
    replace(
      inShard: shardIndex(of: hash), fingerprint: hash.fingerprint, expected: expected, with: new)
  }

  // MARK: Room for what is to come

  /// Makes sure that the next `upsert` of this key cannot fail, growing its shard now if it must.
  /// The promise holds until that upsert, as long as no key that was not prepared is inserted in
  /// between; `replace` does not touch it. An upsert that will not come is to be taken back with
  /// `releasePreparedInserts`.
  ///
  /// - Throws: `IndexFull`; no entry and no promise changed.
  package func prepareInsert(_ hash: KeyHash) throws(IndexFull) {
    let shardIndex = shardIndex(of: hash)
    let arena = arena
    try unsafe shard(shardIndex).pointee.state.withLock { state throws(IndexFull) in
      try state.prepare(
        absentCount: state.find(hash.fingerprint) == 0 ? 1 : 0, upsertCount: 1,
        shardIndex: shardIndex, arena: arena)
    }
  }

  /// Makes sure that one `upsert` of each of these keys cannot fail, as `prepareInsert` does.
  ///
  /// - Throws: `IndexFull`; no entry and no promise changed.
  package func prepareInserts(_ hashes: [KeyHash]) throws(IndexFull) {
    let sorted = hashes.sorted { $0.selector < $1.selector }
    var first = 0
    while first < sorted.count {
      let end = endOfShard(in: sorted, from: first)
      do throws(IndexFull) {
        try prepare(sorted[first..<end])
      } catch {
        releasePreparedInserts(Array(sorted[..<first]))
        throw error
      }
      first = end
    }
  }

  /// Takes back what was prepared for keys that will not be upserted after all.
  package func releasePreparedInserts(_ hashes: [KeyHash]) {
    let arena = arena
    for hash in hashes {
      unsafe shard(shardIndex(of: hash)).pointee.state.withLock {
        $0.release(upsertCount: 1, arena: arena)
      }
    }
  }

  private func prepare(_ hashes: ArraySlice<KeyHash>) throws(IndexFull) {
    guard let first = hashes.first else { return }
    let shardIndex = shardIndex(of: first)
    let arena = arena
    try unsafe shard(shardIndex).pointee.state.withLock { state throws(IndexFull) in
      var absentCount = 0
      for hash in hashes where state.find(hash.fingerprint) == 0 { absentCount += 1 }
      try state.prepare(
        absentCount: absentCount, upsertCount: hashes.count, shardIndex: shardIndex,
        arena: arena)
    }
  }

  private func endOfShard(in hashes: [KeyHash], from first: Int) -> Int {
    var end = first + 1
    while end < hashes.count, shardIndex(of: hashes[end]) == shardIndex(of: hashes[first]) {
      end += 1
    }
    return end
  }

  // MARK: By shard

  /// The shard that holds a key.
  package func shardIndex(of hash: KeyHash) -> Int { shardIndex(ofSelector: hash.selector) }

  /// The shard that holds the keys with a selector: its top bits.
  package func shardIndex(ofSelector selector: UInt32) -> Int { Int(selector >> selectorShift) }

  /// The location word of a fingerprint, 0 if it has none.
  package func find(inShard shardIndex: Int, fingerprint: UInt64) -> UInt64 {
    unsafe shard(shardIndex).pointee.state.withLock { $0.find(fingerprint) }
  }

  /// Sets the location word of a fingerprint and returns the one before (0 if none).
  ///
  /// - Throws: `IndexFull` if it is absent, the shard must grow and may not; nothing changed.
  package func upsert(
    inShard shardIndex: Int, fingerprint: UInt64, locationWord: UInt64
  ) throws(IndexFull) -> UInt64 {
    precondition(locationWord != 0, "0 means that a slot is empty")
    let arena = arena
    let entry = IndexEntry(fingerprint: fingerprint, locationWord: locationWord)
    let previous = try unsafe shard(shardIndex).pointee.state.withLock {
      state throws(IndexFull) in
      try state.upsert(entry, shardIndex: shardIndex, arena: arena)
    }
    if previous == 0 { count.add(1, ordering: .relaxed) }
    return previous
  }

  /// Swaps the location word of a fingerprint if it is still `expected`; a `new` of 0 removes it.
  package func replace(
    inShard shardIndex: Int, fingerprint: UInt64, expected: UInt64, with new: UInt64
  ) -> Bool {
    precondition(expected != 0, "an absent entry is upserted, not replaced")
    let arena = arena
    let done = unsafe shard(shardIndex).pointee.state.withLock {
      $0.replace(fingerprint, expected: expected, with: new, arena: arena)
    }
    if done, new == 0 { count.subtract(1, ordering: .relaxed) }
    return done
  }

  /// Replaces the contents of `entries` by the entries of a shard as they are at one moment.
  package func snapshot(ofShard shardIndex: Int, into entries: inout [IndexEntry]) {
    entries.removeAll(keepingCapacity: true)
    unsafe shard(shardIndex).pointee.state.withLock { state in
      entries.reserveCapacity(Int(state.entryCount))
      state.table?.forEach { entries.append($0) }
    }
  }

  @inline(__always)
  private func shard(_ shardIndex: Int) -> UnsafeMutablePointer<IndexShard> {
    precondition(shardIndex >= 0 && shardIndex < shardCount, "no such shard")
    // SAFETY: the shard was initialised at this address and lives until deinit.
    return unsafe (shards + shardIndex * Self.shardStride)
      .assumingMemoryBound(to: IndexShard.self)
  }

  // MARK: Figures

  /// The number of entries.
  package var entryCount: Int { count.load(ordering: .relaxed) }
  /// Bytes of memory that the index keeps resident at most: what the limit bounds.
  package var reservedByteCount: Int { arena.reservedByteCount }
  /// Bytes of memory in tables.
  package var usedByteCount: Int { arena.usedByteCount }
  /// Bytes of addresses that the tables and the gaps between them span.
  package var spanByteCount: Int { arena.spanByteCount }
  /// Resident bytes for each entry; 0 for an empty index.
  package var bytesPerKey: Double {
    entryCount == 0 ? 0 : Double(reservedByteCount) / Double(entryCount)
  }

  /// Traps when an invariant does not hold; for an index that nobody changes meanwhile.
  package func checkInvariants() {
    arena.checkInvariants()
    var total = 0
    for shardIndex in 0..<shardCount {
      unsafe shard(shardIndex).pointee.state.withLock { state in
        _ = state.checkInvariants()
        total += Int(state.entryCount)
      }
    }
    precondition(total == entryCount, "the entries of the index are miscounted")
  }
}
