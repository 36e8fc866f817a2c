final class RecordIndex: Sendable { let shardCount = 1; func snapshot(ofShard i: Int, into: inout [IndexEntry]) {} }
struct IndexEntry: Sendable { var fingerprint: UInt64 }
