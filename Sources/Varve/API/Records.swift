/// The live records of a store.
public struct Records: AsyncSequence, Sendable {
  let core: StoreCore

  /// Begins an iteration.
  public func makeAsyncIterator() -> Iterator { Iterator(core: core) }

  /// One pass over the records: a snapshot of one index shard after the other, whose keys are then
  /// looked up anew, so that a record that moved is followed and one that vanished is passed over.
  public struct Iterator: AsyncIteratorProtocol {
    let core: StoreCore
    var shard = 0
    var entries: [IndexEntry] = []
    var entriesTaken = 0
    var records: [Record] = []
    var recordsTaken = 0

    init(core: StoreCore) { self.core = core }

    /// The next record, or nil at the end.
    public mutating func next() async throws(StoreError) -> Record? {
      while recordsTaken == records.count {
        guard try await fill() else { return nil }
      }
      defer { recordsTaken += 1 }
      return records[recordsTaken]
    }

    /// The next record, or nil at the end.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(StoreError) -> Record? {
      try await next()
    }

    private mutating func fill() async throws(StoreError) -> Bool {
      if entriesTaken == entries.count {
        guard shard < core.index.shardCount else { return false }
        entries.removeAll(keepingCapacity: true)
        core.index.snapshot(ofShard: shard, into: &entries)
        entriesTaken = 0
        shard += 1
      }
      let end = Swift.min(entriesTaken + Records.readsInFlight, entries.count)
      recordsTaken = 0
      records = try await core.read(
        fingerprints: entries[entriesTaken..<end].map(\.fingerprint), inShard: shard - 1)
      entriesTaken = end
      return true
    }
  }

  static let readsInFlight = 64
}
