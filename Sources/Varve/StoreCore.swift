import VarveFormat
import VarveIO

final class StoreCore: Sendable {
  let report = RecoveryReport()
  let health = HealthMonitor()
  let geometry: Geometry
  let index: RecordIndex
  init(geometry: Geometry, index: RecordIndex) { self.geometry = geometry; self.index = index }
  func abandon() {}
  func statistics() -> StoreStatistics { StoreStatistics() }
  func sync() async throws(StoreError) { preconditionFailure() }
  func checkpoint() async throws(StoreError) { preconditionFailure() }
  func close() async throws(StoreError) { preconditionFailure() }
  static func open(path: String, options: StoreOptions) async throws(StoreError) -> Store { preconditionFailure() }
  static func open(device: any BlockDevice, options: StoreOptions, environment: StoreEnvironment) async throws(StoreError) -> Store { preconditionFailure() }
  static func recoveryPlan(path: String, options: StoreOptions) async throws(StoreError) -> RecoveryPlan { preconditionFailure() }
  func put(_ key: RawSpan, _ value: RawSpan, durability: Durability) async throws(StoreError) -> UInt64 { preconditionFailure() }
  func write(key: [UInt8], value: [UInt8]?, condition: WriteCondition, durability: Durability) async throws(StoreError) -> WriteOutcome { preconditionFailure() }
  func delete(_ key: RawSpan, durability: Durability) async throws(StoreError) -> UInt64? { preconditionFailure() }
  func write(_ batch: Batch, durability: Durability) async throws(StoreError) -> BatchOutcome { preconditionFailure() }
  func withValue<R>(for key: RawSpan, _ body: (RawSpan, UInt64) -> R) async throws(StoreError) -> R? { preconditionFailure() }
  func contains(_ key: RawSpan) throws(StoreError) -> Bool { preconditionFailure() }
  func multiGet(_ keys: [[UInt8]]) async throws(StoreError) -> [VersionedValue?] { preconditionFailure() }
  func read(fingerprints: [UInt64], inShard: Int) async throws(StoreError) -> [Record] { preconditionFailure() }
}
struct StoreEnvironment: Sendable {}
enum StoreFormatter {
  static func create(path: String, options: FormatOptions) async throws(StoreError) { preconditionFailure() }
  static func format(device: any BlockDevice, options: FormatOptions, environment: StoreEnvironment) async throws(StoreError) { preconditionFailure() }
}
extension StoreInfo { static func read(path: String) async throws(StoreError) -> StoreInfo { preconditionFailure() } }
final class HealthMonitor: Sendable { var current: StoreHealth { .healthy }; func subscribe() -> AsyncStream<StoreEvent> { AsyncStream { _ in } } }
