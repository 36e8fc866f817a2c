// The names under which a store publishes what it counts. They are stable: add, don't change.
// Units are in the names; what has none is a number of things.

extension StoreMetrics {
  /// What only grows.
  struct CounterDefinition: Sendable {
    let name: String
    let value: @Sendable (StoreStatistics) -> UInt64
  }

  /// What goes up and down.
  struct GaugeDefinition: Sendable {
    let name: String
    let value: @Sendable (StoreStatistics, StoreHealth) -> Int
  }

  /// How long recovery took, once for each open.
  static let recoveryTimer = "varve_recovery_duration"

  static let counters: [CounterDefinition] = [
    CounterDefinition(name: "varve_puts_total") { $0.putCount },
    CounterDefinition(name: "varve_deletes_total") { $0.deleteCount },
    CounterDefinition(name: "varve_batches_total") { $0.batchCount },
    CounterDefinition(name: "varve_gets_total") { $0.getCount },
    CounterDefinition(name: "varve_get_buffer_hits_total") { $0.bufferHitCount },
    CounterDefinition(name: "varve_get_cache_hits_total") { $0.cacheHitCount },
    CounterDefinition(name: "varve_get_shared_reads_total") { $0.sharedReadCount },
    CounterDefinition(name: "varve_device_reads_total") { $0.deviceReadCount },
    CounterDefinition(name: "varve_corrupt_reads_total") { $0.corruptReadCount },
    CounterDefinition(name: "varve_slow_requests_total") { $0.slowRequestCount },
    CounterDefinition(name: "varve_loop_stalls_total") { $0.loopStallCount },
    CounterDefinition(name: "varve_user_bytes_total") { $0.userByteCount },
    CounterDefinition(name: "varve_frame_bytes_total") { $0.frameByteCount },
    CounterDefinition(name: "varve_padding_bytes_total") { $0.paddingByteCount },
    CounterDefinition(name: "varve_metadata_bytes_total") { $0.metadataByteCount },
    CounterDefinition(name: "varve_checkpoint_bytes_total") { $0.checkpointByteCount },
    CounterDefinition(name: "varve_frames_total") { $0.frameCount },
    CounterDefinition(name: "varve_flushes_total") { $0.flushCount },
    CounterDefinition(name: "varve_freed_segments_total") { $0.freedSegmentCount },
  ]

  static let gauges: [GaugeDefinition] = [
    GaugeDefinition(name: "varve_health") { _, health in
      switch health {
      case .healthy: 0
      case .full: 1
      case .degraded: 2
      case .poisoned: 3
      }
    },
    GaugeDefinition(name: "varve_keys") { statistics, _ in statistics.keyCount },
    GaugeDefinition(name: "varve_tombstones") { statistics, _ in statistics.tombstoneCount },
    GaugeDefinition(name: "varve_segments") { statistics, _ in statistics.segmentCount },
    GaugeDefinition(name: "varve_free_segments") { statistics, _ in statistics.freeSegmentCount },
    GaugeDefinition(name: "varve_reserved_segments") { statistics, _ in
      statistics.reservedSegmentCount
    },
    GaugeDefinition(name: "varve_index_bytes") { statistics, _ in statistics.indexByteCount },
    GaugeDefinition(name: "varve_cache_bytes") { statistics, _ in statistics.cacheByteCount },
    GaugeDefinition(name: "varve_buffer_bytes") { statistics, _ in statistics.bufferByteCount },
    GaugeDefinition(name: "varve_read_bytes") { statistics, _ in statistics.readByteCount },
    GaugeDefinition(name: "varve_memory_budget_bytes") { statistics, _ in
      statistics.memoryBudget
    },
  ]
}
