import CRocksDB
import Foundation
import KeyLoad

/// RocksDB through its C API, set up as somebody would who knows it: leveled compaction, a memory
/// budget that memtables, blocks, indexes and filters share, work for both cores in the background.
// SAFETY: RocksDB's handle may be used from any thread; the options are not changed once it is
// open, and nobody calls after `close`.
final class RocksDBStore: LoadedStore, @unchecked Sendable {
  private let database: OpaquePointer
  private let options: RocksDBOptions
  private let writeOptions = rocksdb_writeoptions_create()
  private let readOptions = rocksdb_readoptions_create()
  private let path: String

  let name: String
  var configuration: String { options.text }

  /// Makes the store of a plan, in a folder.
  init(_ plan: LoadPlan) throws {
    path = plan.path
    options = RocksDBOptions(memoryByteCount: plan.memoryByteCount, usesDirectIO: plan.usesDirectIO)
    let (path, handle) = (plan.path, options.handle)
    let opened = try Self.checked { rocksdb_open(handle, path, $0) }
    guard let opened else { throw LoadFailure(code: "io", message: "RocksDB did not open") }
    database = opened
    // The write-ahead log stays on; nobody waits for it.
    rocksdb_writeoptions_set_sync(writeOptions, 0)
    rocksdb_writeoptions_disable_WAL(writeOptions, 0)
    name = "RocksDB" + (Self.version(inLogOf: plan.path).map { " \($0)" } ?? "")
  }

  deinit {
    rocksdb_writeoptions_destroy(writeOptions)
    rocksdb_readoptions_destroy(readOptions)
  }

  /// The C API does not tell the version; the first line of the store's own log does.
  private static func version(inLogOf path: String) -> String? {
    guard let log = try? String(contentsOfFile: path + "/LOG", encoding: .utf8) else { return nil }
    return log.firstMatch(of: #/RocksDB version: ([0-9.]+)/#).map { String($0.1) }
  }

  func executor(taskCount: Int) -> (any TaskExecutor)? { ThreadExecutor(threadCount: taskCount) }

  func put(_ key: RawSpan, _ value: RawSpan) async throws {
    try key.withUnsafeBytes { key in
      try value.withUnsafeBytes { value in
        try Self.checked {
          // SAFETY: RocksDB copies both before it returns.
          rocksdb_put(
            database, writeOptions, Self.characters(key), key.count, Self.characters(value),
            value.count, $0)
        }
      }
    }
  }

  func get(_ key: RawSpan, _ body: (RawSpan) -> Bool) async throws -> Bool? {
    let slice = try key.withUnsafeBytes { key in
      try Self.checked {
        rocksdb_get_pinned(database, readOptions, Self.characters(key), key.count, $0)
      }
    }
    guard let slice else { return nil }
    defer { rocksdb_pinnableslice_destroy(slice) }
    var count = 0
    let bytes = rocksdb_pinnableslice_value(slice, &count)
    // SAFETY: the slice pins its bytes until it is destroyed, after the body.
    return body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: bytes, count: count)))
  }

  func sync() async throws { try Self.checked { rocksdb_flush_wal(database, 1, $0) } }

  func close() async throws { rocksdb_close(database) }

  var diskByteCount: UInt64 { DiskUse.byteCount(of: path) }

  var diagnostics: String {
    guard let text = rocksdb_property_value(database, "rocksdb.stats") else { return "" }
    defer { rocksdb_free(text) }
    return String(cString: text)
  }

  /// Runs a call that says what went wrong through its last argument.
  @discardableResult
  private static func checked<Result>(
    _ call: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) throws -> Result {
    var error: UnsafeMutablePointer<CChar>?
    let result = call(&error)
    guard let error else { return result }
    defer { rocksdb_free(error) }
    let message = String(cString: error)
    throw LoadFailure(
      code: message.contains("No space left on device") ? "full" : "io", message: message)
  }

  private static func characters(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<CChar>? {
    bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
  }
}
