/// The live records of a store, as `Store.records` gives them. Each loop over it is a pass of its
/// own. It keeps the store alive.
public struct Records: AsyncSequence, Sendable {
  let store: Store

  /// Begins a pass.
  public func makeAsyncIterator() -> Iterator { Iterator(store: store) }

  /// One pass over the records: a snapshot of one index shard after the other, whose keys are then
  /// looked up anew, so that a record that moved is followed and one that vanished is passed over.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    /// Held, so that a store whose last use is this loop is not dropped in the middle of it.
    private let store: Store
    private var shard = 0
    private var entries: [IndexEntry] = []
    /// What of the shard is still to be looked up.
    private var fingerprints: [UInt64] = []
    /// How many are looked up at once: fewer while a group finds more than it may hold.
    private var groupCount = Records.readsInFlight
    private var results: [Result<Record, StoreError>] = []
    private var resultsTaken = 0

    init(store: Store) { self.store = store }

    /// The next record, or nil at the end.
    ///
    /// Cost: for each 64 records, or as many as 1/32 of the memory budget holds, one round of reads
    /// that are in flight together; what is cached is not read. Cancellation is honoured at once,
    /// also while a read is in flight.
    /// - Throws: `corrupt`, `suspect` and `io` for one record, and a later call goes on with the
    ///   next: every record that can be read is met. `closed`, `cancelled`.
    public mutating func next() async throws(StoreError) -> Record? {
      while resultsTaken == results.count {
        guard await fill() else { return nil }
      }
      defer { resultsTaken += 1 }
      return try results[resultsTaken].get()
    }

    /// The next record, or nil at the end, in the isolation of the loop.
    ///
    /// - Throws: as `next()`.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(StoreError) -> Record? {
      try await next()
    }

    private mutating func fill() async -> Bool {
      let core = store.core
      if fingerprints.isEmpty {
        guard shard < core.index.shardCount else { return false }
        entries.removeAll(keepingCapacity: true)
        core.index.snapshot(ofShard: shard, into: &entries)
        fingerprints = entries.map(\.fingerprint)
        shard += 1
      }
      let group = Array(fingerprints.suffix(groupCount))
      fingerprints.removeLast(group.count)
      results = []
      resultsTaken = 0
      let (found, left) = await core.read(fingerprints: group, inShard: shard - 1)
      results = found
      fingerprints += left
      // Those that are left are read once more, so the next group is no larger than this one was.
      groupCount =
        left.isEmpty ? Swift.min(2 * groupCount, Records.readsInFlight) : group.count - left.count
      return true
    }
  }

  static let readsInFlight = 64
}
