import Foundation

/// What a run does, to the last key: every store that is compared gets the same plan. kvbench hands
/// it to the processes that it starts, as JSON in an argument.
public struct LoadPlan: Codable, Hashable, Sendable {
  /// The bytes of a key.
  public static let keyByteCount = 16
  /// The bytes of a value, none of which compresses.
  public static let valueByteCount = 1024

  /// Where the store is made: a file for Varve, a folder for others. Nothing is there yet.
  public var path: String
  /// The length of the store's file, for a store that has one.
  public var storeByteCount: UInt64
  /// What the store may hold in memory: index, caches and write buffers together.
  public var memoryByteCount: Int
  /// The keys that are loaded, and then overwritten.
  public var keyCount: UInt64
  /// How many tasks put and get at once.
  public var taskCount: Int
  /// Operations after the load that are not part of the result: they bring the store to where it
  /// stays.
  public var warmUpOperationCount: UInt64
  /// Operations that are measured; nil goes by `measuredSeconds`.
  public var measuredOperationCount: UInt64?
  /// Seconds that are measured, where `measuredOperationCount` is nil.
  public var measuredSeconds: Int
  /// The exponent of a zipfian choice of keys; nil chooses them uniformly.
  public var zipfExponent: Double?
  /// The share of the operations that are gets, from 0 to 1.
  public var readShare: Double
  /// Where every choice of the run starts from.
  public var seed: UInt64
  /// Whether the tasks run on the store's own executor, where it has one.
  public var prefersStoreExecutor: Bool
  /// Whether a store that can read and write past the page cache does so.
  public var usesDirectIO: Bool

  /// A run of uniform overwrites without reads, to be changed as wanted.
  public init(path: String, storeByteCount: UInt64, memoryByteCount: Int, keyCount: UInt64) {
    self.path = path
    self.storeByteCount = storeByteCount
    self.memoryByteCount = memoryByteCount
    self.keyCount = keyCount
    taskCount = 8
    warmUpOperationCount = 0
    measuredOperationCount = keyCount
    measuredSeconds = 0
    zipfExponent = nil
    readShare = 0
    seed = 1
    prefersStoreExecutor = false
    usesDirectIO = true
  }

  /// Reads a plan from an argument.
  ///
  /// - Throws: `LoadFailure` with code `usage` where it is none.
  public init(argument: String) throws {
    do {
      self = try JSONDecoder().decode(LoadPlan.self, from: Data(argument.utf8))
    } catch {
      throw LoadFailure(code: "usage", message: "this is no plan of kvbench: \(argument)")
    }
    guard keyCount > 0, taskCount > 0, taskCount <= 1024, memoryByteCount > 0,
      (0..<1).contains(readShare), (zipfExponent ?? 1) > 0
    else { throw LoadFailure(code: "usage", message: "the plan is out of range: \(argument)") }
  }

  /// This plan as an argument.
  public var argument: String {
    get throws { String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }
  }

  /// The bytes of keys and values in so many puts.
  public static func userByteCount(puts: UInt64) -> UInt64 {
    puts * UInt64(keyByteCount + valueByteCount)
  }
}
