import CRocksDB
import Glibc

/// The options of RocksDB and what they are in words: each is set in one place and told there.
final class RocksDBOptions {
  let handle = rocksdb_options_create()
  private let cache: OpaquePointer?
  private(set) var text = ""

  /// Three memtables of an eighth of the memory, at most 64 MiB each, may be in memory at once:
  /// fewer stall writers while one is being flushed. The block cache has the rest, indexes and
  /// filters in it.
  init(memoryByteCount: Int, usesDirectIO: Bool) {
    let memtableByteCount = min(64 << 20, memoryByteCount / 8)
    let memtableCount = 3
    let cacheByteCount = memoryByteCount - memtableCount * memtableByteCount
    cache = rocksdb_cache_create_lru(cacheByteCount)
    setMemory(memtableByteCount, memtableCount, cacheByteCount)
    setCompaction(memtableByteCount)
    setFiles(usesDirectIO: usesDirectIO)
    note("write-ahead log on, not synced")
  }

  deinit {
    if let cache { rocksdb_cache_destroy(cache) }
    rocksdb_options_destroy(handle)
  }

  private func note(_ option: String) { text += (text.isEmpty ? "" : ", ") + option }

  private func setMemory(_ memtableByteCount: Int, _ memtableCount: Int, _ cacheByteCount: Int) {
    rocksdb_options_set_create_if_missing(handle, 1)
    rocksdb_options_set_write_buffer_size(handle, memtableByteCount)
    rocksdb_options_set_max_write_buffer_number(handle, Int32(memtableCount))
    note("write_buffer_size \(memtableByteCount >> 20) MiB")
    note("max_write_buffer_number \(memtableCount)")
    let table = rocksdb_block_based_options_create()
    rocksdb_block_based_options_set_block_cache(table, cache)
    rocksdb_block_based_options_set_block_size(table, 4096)
    // The policy belongs to the table's options, the table's options to the store's.
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10))
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1)
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1)
    rocksdb_options_set_block_based_table_factory(handle, table)
    rocksdb_block_based_options_destroy(table)
    note("block cache \(cacheByteCount >> 20) MiB with index and filter blocks")
    note("block_size 4096")
    note("bloom filter 10 bits")
  }

  private func setCompaction(_ memtableByteCount: Int) {
    let coreCount = max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    rocksdb_options_set_compaction_style(handle, Int32(rocksdb_level_compaction))
    rocksdb_options_set_level_compaction_dynamic_level_bytes(handle, 1)
    rocksdb_options_set_max_bytes_for_level_base(handle, UInt64(4 * memtableByteCount))
    rocksdb_options_set_target_file_size_base(handle, UInt64(memtableByteCount))
    // One for flushes beside one for each core.
    rocksdb_options_set_max_background_jobs(handle, Int32(coreCount + 1))
    rocksdb_options_set_max_subcompactions(handle, UInt32(coreCount))
    rocksdb_options_set_compression(handle, Int32(rocksdb_no_compression))
    rocksdb_options_set_bottommost_compression(handle, Int32(rocksdb_no_compression))
    note("leveled compaction with dynamic level bytes")
    note("max_bytes_for_level_base \(4 * memtableByteCount >> 20) MiB")
    note("target_file_size_base \(memtableByteCount >> 20) MiB")
    note("max_background_jobs \(coreCount + 1)")
    note("max_subcompactions \(coreCount)")
    note("compression off")
  }

  private func setFiles(usesDirectIO: Bool) {
    let isDirect: UInt8 = usesDirectIO ? 1 : 0
    rocksdb_options_set_use_direct_reads(handle, isDirect)
    rocksdb_options_set_use_direct_io_for_flush_and_compaction(handle, isDirect)
    // Compaction reads ahead in blocks of this length, which direct reads depend on.
    rocksdb_options_compaction_readahead_size(handle, 2 << 20)
    rocksdb_options_set_bytes_per_sync(handle, 1 << 20)
    rocksdb_options_set_wal_bytes_per_sync(handle, 1 << 20)
    rocksdb_options_set_enable_pipelined_write(handle, 1)
    rocksdb_options_set_max_open_files(handle, -1)
    note("direct I/O for reads, flushes and compaction \(usesDirectIO ? "on" : "off")")
    note("compaction_readahead_size 2 MiB")
    note("bytes_per_sync 1 MiB")
    note("wal_bytes_per_sync 1 MiB")
    note("pipelined writes")
  }
}
