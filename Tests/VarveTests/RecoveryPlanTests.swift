import Synchronization
import Testing
import VarveFormat
import VarveIO
import VarveTesting

@testable import Varve

/// A device that counts the bytes that are read from it.
private final class CountingDevice: BlockDevice {
  private let base: RAMDevice
  private let count = Mutex<UInt64>(0)

  init(_ base: RAMDevice) { self.base = base }

  var byteCount: UInt64 { base.byteCount }
  var readByteCount: UInt64 { count.withLock { $0 } }

  func submit(_ request: IORequest) {
    if request.operation == .read { count.withLock { $0 += UInt64(request.byteCount) } }
    base.submit(request)
  }

  func close() { base.close() }
}

@Suite struct RecoveryPlanTests {
  /// A plan is an upper bound of what recovery reads, and a close one.
  @Test(
    "A plan covers what recovery reads",
    arguments: [64 << 10, 256 << 10, 4 << 20], [false, true])
  func covers(segmentByteCount: Int, hasCheckpoint: Bool) async throws {
    var testing = try await TestingStore(
      byteCount: UInt64(segmentByteCount) * 48, segmentByteCount: segmentByteCount)
    var random = SystemRandomNumberGenerator()
    // Small frames, and some that go beyond the window in which recovery reads.
    let limit = min(testing.store.maximumValueByteCount, 1_500_000)
    for number in 0..<200 {
      let byteCount = number % 40 == 39 ? limit : Int.random(in: 0...9000)
      let value = (0..<byteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      try await testing.store.put("key \(number)", value, durability: .written)
      if hasCheckpoint, number == 100 { try await testing.store.checkpoint() }
    }
    try await testing.store.sync()
    for isClean in [false, true] {
      if isClean {
        testing = try await testing.reopened()
        try await testing.store.close()
      }
      // One state for both: the store that was not closed is still at work.
      let image = testing.device.copy()
      let plan = try await StoreCore.recoveryPlan(device: image.copy())
      #expect(plan.wasClean == isClean)
      var options = TestingStore.options
      options.readOnly = true
      let device = CountingDevice(image.copy())
      let store = try await Store.open(device: device, options: options)
      let read = device.readByteCount
      #expect(plan.byteCountToRead >= read, "\(plan.byteCountToRead) planned, \(read) read")
      #expect(plan.byteCountToRead >= store.recoveryReport.readByteCount)
      // Rounding up: a window of the checkpoint, and what is not looked at where nothing is wrong.
      #expect(plan.byteCountToRead <= read + (2 << 20), "\(plan.byteCountToRead), \(read) read")
      #expect(plan.usesCheckpoint == store.recoveryReport.usedCheckpoint)
      try await store.close()
    }
  }
}
