extension StoreMetric {
  /// Every number of `StoreStatistics`, in the order in which `kvctl stat --json` prints them.
  /// Names are added, never changed. What `StoreStatistics` computes from others is not among them.
  public static let all: [StoreMetric] = [
    .gauge("keys", \.keyCount, "Keys that have a value."),
    .gauge("tombstones", \.tombstoneCount, "Deleted keys whose tombstone is still needed."),
    .gauge(
      "lastSeq", metric: "lastSequence", \.lastSequence, "The last sequence number in use."),
    .gauge(
      "durableSeq", metric: "durableSequence", \.durableSequence,
      "The last sequence number that is durable."),
    .counter("puts", \.putCount, "Puts accepted, outside batches."),
    .counter("deletes", \.deleteCount, "Deletes that wrote a tombstone."),
    .counter("batches", \.batchCount, "Batches accepted."),
    .counter("gets", \.getCount, "Gets, each key of a multi-get included."),
    .counter(
      "bufferHits", metric: "getBufferHits", \.bufferHitCount,
      "Gets answered from the write buffer."),
    .counter(
      "cacheHits", metric: "getCacheHits", \.cacheHitCount, "Gets answered from the cache."),
    .counter("deviceReads", \.deviceReadCount, "Reads of the device for gets."),
    .counter(
      "sharedReads", metric: "getSharedReads", \.sharedReadCount,
      "Gets that joined the read of another get."),
    .counter("userBytes", \.userByteCount, "Bytes of keys and values that users wrote."),
    .counter("frameBytes", \.frameByteCount, "Bytes of frames written, padding included."),
    .counter("paddingBytes", \.paddingByteCount, "Bytes of frames that hold nothing."),
    .counter(
      "metadataBytes", \.metadataByteCount,
      "Bytes of headers, summaries, tables and superblocks written."),
    .counter("summaryBytes", \.summaryByteCount, "Of those, bytes of summaries of segments."),
    .counter("checkpointBytes", \.checkpointByteCount, "Bytes of checkpoints written."),
    .counter(
      "relocationBytes", \.relocationByteCount, "Bytes of frames that compaction wrote."),
    .counter("relocatedRecords", \.relocatedRecordCount, "Records that compaction moved."),
    .counter(
      "compactedSegments", \.compactedSegmentCount,
      "Segments that compaction emptied of what was live in them."),
    .counter(
      "reclaimedBytes", \.reclaimedByteCount,
      "Bytes that compaction won: of segments, less what was live in them."),
    .counter(
      "deadTombstones", \.deadTombstoneCount,
      "Tombstones that died, since no older record of their key was left."),
    .counter(
      "spaceWaits", \.spaceWaitCount, "Times that a writer waited for a segment to be ready."),
    .counter(
      "spaceWaitNanoseconds", \.spaceWaitNanoseconds,
      "How long writers waited for segments, in nanoseconds."),
    .counter("frames", \.frameCount, "Frames written."),
    .counter("flushes", \.flushCount, "Flushes of the device."),
    .gauge("segments", \.segmentCount, "Segments in all."),
    .gauge("freeSegments", \.freeSegmentCount, "Segments that hold nothing."),
    .gauge(
      "reservedSegments", \.reservedSegmentCount,
      "Segments kept back for deletes, checkpoints and recovery."),
    .gauge("usedBytes", \.usedByteCount, "Bytes of segments that hold something."),
    .gauge(
      "liveBytes", \.liveByteCount, "Bytes of pages that live records and tombstones need."),
    .counter("freedSegments", \.freedSegmentCount, "Segments freed."),
    .counter(
      "discardedBytes", \.discardedByteCount, "Bytes of freed segments that were discarded."),
    .counter(
      "discardFailures", \.discardFailureCount,
      "Discards that failed; after the first, no more are tried."),
    .gauge("indexBytes", \.indexByteCount, "Memory of the index, in bytes."),
    .gauge("cacheBytes", \.cacheByteCount, "Memory of the cache, in bytes."),
    .gauge("bufferBytes", \.bufferByteCount, "Memory of write buffers, in bytes."),
    .gauge("readBytes", \.readByteCount, "Memory that records are read into, in bytes."),
    .gauge(
      "memoryBudgetBytes", \.memoryBudget,
      "The bound of index, cache, buffers and reads together, in bytes."),
    .counter(
      "slowRequests", \.slowRequestCount,
      "Requests to the device in flight for more than 5 seconds."),
    .counter("corruptReads", \.corruptReadCount, "Reads of damaged records."),
    .counter(
      "loopStalls", \.loopStallCount,
      "Times that tasks on the store's executor held up its I/O for more than 5 ms."),
    .gauge(
      "clockMilliseconds", \.clockMilliseconds,
      "The store's own clock, by which records expire, in milliseconds since 1970."),
  ]
}
