/// Counters of an open store since it was opened, and what it takes now. Reading them costs a few
/// microseconds, one more for each thousand segments, and stops nobody.
public struct StoreStatistics: Hashable, Sendable {
  /// Keys that have a value, and those whose record has expired and has not been reclaimed.
  public var keyCount = 0
  /// Keys whose tombstone is still needed.
  public var tombstoneCount = 0
  /// The last sequence number in use: of the newest write, in this open or before it.
  public var lastSequence: UInt64 = 0
  /// The last sequence number that is durable.
  public var durableSequence: UInt64 = 0
  /// Puts accepted.
  public var putCount: UInt64 = 0
  /// Deletes that wrote a tombstone.
  public var deleteCount: UInt64 = 0
  /// Batches accepted.
  public var batchCount: UInt64 = 0
  /// Gets, each key of a multi-get included.
  public var getCount: UInt64 = 0
  /// Gets answered from the write buffer.
  public var bufferHitCount: UInt64 = 0
  /// Gets answered from the cache.
  public var cacheHitCount: UInt64 = 0
  /// Reads of the device for gets.
  public var deviceReadCount: UInt64 = 0
  /// Gets that joined the read of another get.
  public var sharedReadCount: UInt64 = 0
  /// Bytes of keys and values that users wrote.
  public var userByteCount: UInt64 = 0
  /// Bytes of frames written, padding included.
  public var frameByteCount: UInt64 = 0
  /// Bytes of frames that hold nothing.
  public var paddingByteCount: UInt64 = 0
  /// Bytes of segment headers, summaries, tables and superblocks written.
  public var metadataByteCount: UInt64 = 0
  /// Of those, bytes of summaries of sealed segments.
  public var summaryByteCount: UInt64 = 0
  /// Bytes of checkpoints written.
  public var checkpointByteCount: UInt64 = 0
  /// Bytes of frames that compaction wrote.
  public var relocationByteCount: UInt64 = 0
  /// Records that compaction moved.
  public var relocatedRecordCount: UInt64 = 0
  /// Segments that compaction emptied of what was live in them.
  public var compactedSegmentCount: UInt64 = 0
  /// Bytes that compaction won: those of the segments that it emptied, less those of what was live
  /// in them. Divided by `compactedSegmentCount` it is the mean yield of a segment.
  public var reclaimedByteCount: UInt64 = 0
  /// Tombstones that died, since no older record of their key was left.
  public var deadTombstoneCount: UInt64 = 0
  /// Times that a writer waited for a segment to be made ready, because space was short or segments
  /// were filled faster than they are prepared.
  public var spaceWaitCount: UInt64 = 0
  /// How long writers waited for that, all of them together, in nanoseconds.
  public var spaceWaitNanoseconds: UInt64 = 0
  /// Frames written.
  public var frameCount: UInt64 = 0
  /// Flushes of the device.
  public var flushCount: UInt64 = 0
  /// Segments in all.
  public var segmentCount = 0
  /// Segments that hold nothing.
  public var freeSegmentCount = 0
  /// Segments kept back for deletes, checkpoints and recovery.
  public var reservedSegmentCount = 0
  /// Bytes of segments that hold something.
  public var usedByteCount = 0
  /// Bytes of pages that live records and tombstones need: records of one size, packed together.
  public var liveByteCount = 0
  /// Segments freed since the store was opened.
  public var freedSegmentCount: UInt64 = 0
  /// Bytes of freed segments that were discarded, see `StoreOptions.discard`.
  public var discardedByteCount: UInt64 = 0
  /// Discards that failed. After the first none is tried until the store is opened again.
  public var discardFailureCount: UInt64 = 0
  /// Bytes of memory of the index.
  public var indexByteCount = 0
  /// Bytes of memory of the cache.
  public var cacheByteCount = 0
  /// Bytes of memory of write buffers.
  public var bufferByteCount = 0
  /// Bytes of memory of reads in flight, and kept for the next ones.
  public var readByteCount = 0
  /// The bound of all four together.
  public var memoryBudget = 0
  /// Requests to the device that have been in flight for more than 5 seconds.
  public var slowRequestCount: UInt64 = 0
  /// Times that a thread of `Store.executor` ran tasks for more than 5 ms without taking the
  /// completions of their I/O.
  public var loopStallCount: UInt64 = 0
  /// Reads of damaged records.
  public var corruptReadCount: UInt64 = 0
  /// The time of the store's own clock, by which records expire, in milliseconds since 1970.
  public var clockMilliseconds: UInt64 = 0

  /// Makes statistics of zeros.
  public init() {}

  /// Bytes written to the device for each byte that users wrote.
  public var writeAmplification: Double {
    guard userByteCount > 0 else { return 0 }
    let byteCount =
      frameByteCount + metadataByteCount + checkpointByteCount + relocationByteCount
    return Double(byteCount) / Double(userByteCount)
  }

  /// Bytes of segments in use for each byte of pages that what is live in them needs; 0 for an
  /// empty store. Segments that are open or ready, and checkpoints, count as in use.
  public var spaceAmplification: Double {
    liveByteCount > 0 ? Double(usedByteCount) / Double(liveByteCount) : 0
  }

  /// Bytes of index memory for each key, tombstones included.
  public var indexBytesPerKey: Double {
    let count = keyCount + tombstoneCount
    return count > 0 ? Double(indexByteCount) / Double(count) : 0
  }
}
