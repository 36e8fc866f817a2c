import Foundation
import Testing
import Varve

/// A store that is open in the process of the tests, which kvctl looks into from its own.
enum RunningStore {
  static func with(
    socketPath: String? = nil, label: String = "", servesNothing: Bool = false,
    _ body: (_ store: Store, _ path: String, _ place: Workplace) async throws -> Void
  ) async throws {
    let place = try Workplace()
    let path = place.path("store")
    try await Store.create(
      path: path,
      options: FormatOptions(byteCount: 16 << 20, segmentByteCount: 64 << 10, label: label))
    var options = StoreOptions(memoryBudget: 16 << 20, compression: false)
    if !servesNothing {
      options.statisticsSocketPath =
        socketPath.map { place.path($0) } ?? StoreOptions.statisticsSocketPath(forStoreAt: path)
    }
    let store = try await Store.open(path: path, options: options)
    do {
      try await body(store, path, place)
    } catch {
      Issue.record(error)
    }
    try await store.close()
  }

  /// Writes records of about 3 KB and makes them durable.
  static func fill(_ store: Store, _ numbers: Range<Int>) async throws {
    let value = [UInt8](repeating: 1, count: 3_000)
    for number in numbers { try await store.put("\(number)", value, durability: .buffered) }
    try await store.sync()
  }
}
