import KeyLoad
import Logging
import Varve

/// Varve as a store under load.
struct VarveUnderLoad: LoadedStore {
  private let store: Store
  private let plan: LoadPlan

  let name = "Varve"
  let configuration: String

  /// Makes and opens the store of a plan.
  init(_ plan: LoadPlan) async throws {
    self.plan = plan
    // What a store says of itself while it is nearly full would hide the result.
    var logger = Logger(label: "varve")
    logger.logLevel = .error
    do {
      try await Store.create(
        path: plan.path, options: FormatOptions(byteCount: plan.storeByteCount))
      store = try await Store.open(
        path: plan.path,
        options: StoreOptions(
          memoryBudget: plan.memoryByteCount, compression: false, logger: logger))
    } catch {
      throw Self.failure(error)
    }
    configuration = [
      "store \(plan.storeByteCount >> 20) MiB", "segments \(store.statistics.segmentCount)",
      "reserved \(store.statistics.reservedSegmentCount)",
      "memory budget \(store.statistics.memoryBudget >> 20) MiB", "durability buffered",
      "compression off", "executor \(plan.prefersStoreExecutor ? "store" : "default")",
    ].joined(separator: ", ")
  }

  func executor(taskCount: Int) -> (any TaskExecutor)? {
    plan.prefersStoreExecutor ? store.executor : nil
  }

  func put(_ key: RawSpan, _ value: RawSpan) async throws {
    do {
      _ = try await store.put(key, value, durability: .buffered)
    } catch {
      throw Self.failure(error)
    }
  }

  func get(_ key: RawSpan, _ body: (RawSpan) -> Bool) async throws -> Bool? {
    do {
      return try await store.withValue(for: key) { value, _ in body(value) }
    } catch {
      throw Self.failure(error)
    }
  }

  func sync() async throws {
    do { try await store.sync() } catch { throw Self.failure(error) }
  }

  func close() async throws {
    do { try await store.close() } catch { throw Self.failure(error) }
  }

  var diskByteCount: UInt64 { DiskUse.byteCount(of: plan.path) }

  /// Padding is a part of the frames.
  var writtenByteCounts: [String: UInt64] {
    let statistics = store.statistics
    return [
      "frames": statistics.frameByteCount, "padding": statistics.paddingByteCount,
      "metadata": statistics.metadataByteCount, "checkpoints": statistics.checkpointByteCount,
      "relocation": statistics.relocationByteCount,
    ]
  }

  private static func failure(_ error: StoreError) -> LoadFailure {
    LoadFailure(code: error.code.rawValue, message: error.message)
  }
}
