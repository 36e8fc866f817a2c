import KeyLoad
import Synchronization

/// A dictionary in the place of a store, which can be told to fail.
final class DictionaryStore: LoadedStore {
  private struct State {
    var values: [[UInt8]: [UInt8]] = [:]
    var puts: [[UInt8]] = []
    var syncCount = 0
    var isClosed = false
  }

  private let state = Mutex(State())
  private let capacity: Int
  private let forgetsEvery: Int

  /// A put after `capacity` puts answers `full`; one in `forgetsEvery` is acknowledged and lost.
  init(capacity: Int = .max, forgetsEvery: Int = .max) {
    self.capacity = capacity
    self.forgetsEvery = forgetsEvery
  }

  let name = "dictionary"
  let configuration = "none"
  var diskByteCount: UInt64 { 4096 }
  var writtenByteCounts: [String: UInt64] { ["puts": UInt64(putKeys.count)] }

  var putKeys: [[UInt8]] { state.withLock { $0.puts } }
  var keyCount: Int { state.withLock { $0.values.count } }
  var syncCount: Int { state.withLock { $0.syncCount } }
  var isClosed: Bool { state.withLock { $0.isClosed } }

  func executor(taskCount: Int) -> (any TaskExecutor)? { ThreadExecutor(threadCount: taskCount) }

  func put(_ key: RawSpan, _ value: RawSpan) async throws {
    let (key, value) = (Self.bytes(key), Self.bytes(value))
    try state.withLock { state in
      guard state.puts.count < capacity else {
        throw LoadFailure(code: "full", message: "no room for more")
      }
      state.puts.append(key)
      if !state.puts.count.isMultiple(of: forgetsEvery) { state.values[key] = value }
    }
  }

  func get(_ key: RawSpan, _ body: (RawSpan) -> Bool) async throws -> Bool? {
    let key = Self.bytes(key)
    return state.withLock { $0.values[key] }.map { body($0.span.bytes) }
  }

  func sync() async throws { state.withLock { $0.syncCount += 1 } }
  func close() async throws { state.withLock { $0.isClosed = true } }

  private static func bytes(_ span: RawSpan) -> [UInt8] {
    span.withUnsafeBytes { Array($0) }
  }
}
