import Synchronization

/// The object cache: records (not pages, since a log has no page locality) under a hard limit of
/// memory, evicted by S3-FIFO. Sharded by where the record lies, one small lock for each shard; a
/// hit takes the lock for a table look-up and a reference.
package final class RecordCache: Sendable {
  private final class Shard: Sendable {
    let state: Mutex<CacheShard>

    init(byteLimit: Int) { state = Mutex(CacheShard(byteLimit: byteLimit)) }
  }

  private let shards: [Shard]
  private let limit: Atomic<Int>

  /// An empty cache.
  ///
  /// - Parameters:
  ///   - byteLimit: Bytes of memory for records and all that keeps them; 0 switches it off.
  ///   - shardCount: The number of shards, which share the limit evenly.
  package init(byteLimit: Int, shardCount: Int) {
    precondition(shardCount > 0 && byteLimit >= 0, "a cache has shards, and a limit")
    shards = (0..<shardCount).map { _ in Shard(byteLimit: byteLimit / shardCount) }
    limit = Atomic(byteLimit)
  }

  /// The record at a location, if it is cached; its frequency counts up to 3.
  package func get(_ locationWord: UInt64, generation: UInt32) -> CachedRecord? {
    guard limit.load(ordering: .relaxed) > 0 else { return nil }
    let key = CacheShard.Key(locationWord: locationWord, generation: generation)
    let hash = key.hash
    return shard(of: hash).state.withLock { $0.get(key, hash: hash) }
  }

  /// Caches a record in place of one with this key, evicting others. One that takes more than 1/8
  /// of a shard is not cached.
  package func insert(_ record: CachedRecord, locationWord: UInt64, generation: UInt32) {
    guard limit.load(ordering: .relaxed) > 0 else { return }
    let key = CacheShard.Key(locationWord: locationWord, generation: generation)
    let hash = key.hash
    shard(of: hash).state.withLock { $0.insert(record, key: key, hash: hash) }
  }

  /// Lets go of a record, if it is cached.
  package func remove(_ locationWord: UInt64, generation: UInt32) {
    guard limit.load(ordering: .relaxed) > 0 else { return }
    let key = CacheShard.Key(locationWord: locationWord, generation: generation)
    let hash = key.hash
    shard(of: hash).state.withLock { _ = $0.remove(key, hash: hash) }
  }

  /// Knows a record by its new place, if it is cached: compaction has moved it.
  package func rename(
    _ locationWord: UInt64, generation: UInt32, to newWord: UInt64, generation newGeneration: UInt32
  ) {
    guard limit.load(ordering: .relaxed) > 0 else { return }
    let key = CacheShard.Key(locationWord: locationWord, generation: generation)
    let hash = key.hash
    let record = shard(of: hash).state.withLock { $0.remove(key, hash: hash) }
    if let record { insert(record, locationWord: newWord, generation: newGeneration) }
  }

  /// Lets go of all records; the counts stay.
  package func removeAll() {
    for shard in shards { shard.state.withLock { $0.removeAll() } }
  }

  /// Sets the limit; a lower one evicts at once, 0 switches the cache off.
  package func setByteLimit(_ byteLimit: Int) {
    precondition(byteLimit >= 0, "a limit is not negative")
    guard limit.exchange(byteLimit, ordering: .relaxed) != byteLimit else { return }
    for shard in shards { shard.state.withLock { $0.setByteLimit(byteLimit / shards.count) } }
  }

  /// Bytes that the limit bounds.
  package var byteLimit: Int { limit.load(ordering: .relaxed) }
  /// Bytes of memory for records and all that keeps them; never above the limit.
  package var byteCount: Int { sum { $0.residentByteCount } }
  /// The number of records cached.
  package var recordCount: Int { sum { $0.recordCount } }
  /// How often `get` found its record.
  package var hitCount: UInt64 { sum { $0.hitCount } }
  /// How often it did not.
  package var missCount: UInt64 { sum { $0.missCount } }
  /// How many records were evicted for others.
  package var evictionCount: UInt64 { sum { $0.evictionCount } }

  /// Traps when an invariant does not hold.
  package func checkInvariants() {
    for shard in shards { shard.state.withLock { $0.checkInvariants() } }
  }

  /// The table of the shard uses the low bits of the hash, the fingerprint the high half: the shard
  /// comes from a mixture.
  private func shard(of hash: UInt64) -> Shard {
    let mixed = hash &* 0x9e37_79b9_7f4a_7c15
    return shards[Int(mixed.multipliedFullWidth(by: UInt64(shards.count)).high)]
  }

  private func sum<Number: AdditiveArithmetic>(_ figure: (CacheShard) -> Number) -> Number {
    shards.reduce(.zero) { sum, shard in sum + shard.state.withLock { figure($0) } }
  }
}
