import Synchronization
import Testing
import Varve

@testable import VarveTesting

/// The clocks of a store, which a test sets: nothing waits.
final class TestClocks: Sendable {
  private let wall: Atomic<UInt64>
  private let monotonic = Atomic<UInt64>(77)

  /// Some day of 2027.
  static let epoch: UInt64 = 1_800_000_000_000
  static let day: UInt64 = 86_400_000

  init(wall: UInt64 = TestClocks.epoch) { self.wall = Atomic(wall) }

  var environment: StoreEnvironment {
    var environment = StoreEnvironment()
    environment.wallMilliseconds = { self.wall.load(ordering: .relaxed) }
    environment.monotonicNanoseconds = { self.monotonic.load(ordering: .relaxed) }
    return environment
  }

  /// Time passes.
  func advance(milliseconds: UInt64) {
    wall.add(milliseconds, ordering: .relaxed)
    monotonic.add(milliseconds * 1_000_000, ordering: .relaxed)
  }

  /// Somebody sets the machine's clock.
  func setWall(_ milliseconds: UInt64) { wall.store(milliseconds, ordering: .relaxed) }
}

/// A store whose clocks are set, and what it lies on.
struct ExpiringStore {
  let clocks: TestClocks
  var store: Store
  var device: RAMDevice
  private let options: StoreOptions

  init(
    byteCount: UInt64 = 2 << 20, options: StoreOptions = Harness.options,
    clocks: TestClocks = TestClocks()
  ) async throws {
    let medium = RAMDevice(byteCount: byteCount)
    try await Store.format(
      device: medium, options: FormatOptions(segmentByteCount: Harness.segmentByteCount),
      environment: clocks.environment)
    self.clocks = clocks
    self.options = options
    device = medium.copy()
    store = try await Store.open(
      device: device, options: options, environment: clocks.environment)
  }

  /// Opens what the store has left on its device.
  private mutating func open(_ jump: ClockJump, readOnly: Bool) async throws {
    device = device.copy()
    var options = options
    options.readOnly = readOnly
    store = try await Store.open(
      device: device, options: options, environment: clocks.environment, clockJump: jump)
  }

  /// Closes the store and opens it again.
  mutating func reopen(_ jump: ClockJump = .hold, readOnly: Bool = false) async throws {
    try await store.close()
    try await open(jump, readOnly: readOnly)
  }

  /// Opens what a kill right now would leave behind.
  mutating func crash(_ jump: ClockJump = .hold, readOnly: Bool = false) async throws {
    let killed = store
    let left = device.copy()
    try await killed.close()
    device = left
    try await open(jump, readOnly: readOnly)
  }
}

/// Every way to ask for a key.
func expectAbsent(
  _ key: String, in store: Store, _ comment: Comment? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  let bytes = Array(key.utf8)
  #expect(try await store.get(key) == nil, comment, sourceLocation: sourceLocation)
  #expect(try await store.contains(key) == false, comment, sourceLocation: sourceLocation)
  #expect(
    try await store.withValue(for: key) { _, sequence in sequence } == nil, comment,
    sourceLocation: sourceLocation)
  #expect(try await store.multiGet([key]) == [nil], comment, sourceLocation: sourceLocation)
  for try await record in store.records {
    #expect(record.key != bytes, comment, sourceLocation: sourceLocation)
  }
}
