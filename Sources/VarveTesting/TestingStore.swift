import Logging
import Varve

/// A store, the real engine, on a RAM device: for the unit tests of code that uses a store.
///
///     let testing = try await TestingStore()
///     try await testing.store.put("cart:17", "3 apples")
///     let later = try await testing.reopened()
public struct TestingStore: Sendable {
  /// The store.
  public let store: Store
  /// What it lies on.
  public let device: RAMDevice
  private let options: StoreOptions

  /// Options for tests: 8 MiB of memory, silence, and nothing that depends on how fast a test runs:
  /// a store that is idle for a second does not compact.
  public static var options: StoreOptions {
    StoreOptions(
      memoryBudget: 8 << 20, compactsWhenIdle: false,
      logger: Logger(label: "varve.testing", factory: { _ in SwiftLogNoOpLogHandler() }))
  }

  /// Formats a RAM device and opens the store on it: unless told otherwise 64 MiB in segments of
  /// 256 KiB, which take values of up to 245,624 bytes.
  ///
  /// - Parameters:
  ///   - byteCount: The capacity; memory is taken as it is written.
  ///   - segmentByteCount: As in `FormatOptions`; larger segments take larger values.
  ///   - delivery: Where the device completes its requests.
  ///   - options: How to open the store.
  /// - Throws: `usage` for a geometry that the store refuses.
  public init(
    byteCount: UInt64 = 64 << 20, segmentByteCount: Int? = nil,
    delivery: Delivery = .background, options: StoreOptions = TestingStore.options
  ) async throws(StoreError) {
    let device = RAMDevice(byteCount: byteCount, delivery: delivery)
    try await Store.format(
      device: device, options: FormatOptions(segmentByteCount: segmentByteCount))
    // Whoever formats may have closed the device.
    try await self.init(device: device.copy(delivery: delivery), options: options)
  }

  private init(device: RAMDevice, options: StoreOptions) async throws(StoreError) {
    store = try await Store.open(device: device, options: options)
    self.device = device
    self.options = options
  }

  /// Closes the store and opens what it left behind.
  ///
  /// - Throws: what closing and opening throw.
  public func reopened() async throws(StoreError) -> TestingStore {
    try await store.close()
    return try await reopenedAsIs()
  }

  /// Opens what a kill right now would leave behind; this store goes on, on its own device.
  ///
  /// - Throws: what opening throws.
  public func reopenedAsIs() async throws(StoreError) -> TestingStore {
    try await TestingStore(device: device.copy(), options: options)
  }
}
