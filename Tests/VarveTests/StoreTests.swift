import Logging
import Testing
import Varve
import VarveTesting

/// The basics of the store, on a RAM device.
@Suite struct StoreTests {
  static func device(_ byteCount: UInt64 = 4 << 20) async throws -> RAMDevice {
    let device = RAMDevice(byteCount: byteCount)
    try await Store.format(device: device, options: FormatOptions())
    return device
  }

  @Test func putGetDelete() async throws {
    let device = try await StoreTests.device()
    let store = try await Store.open(device: device)
    #expect(try await store.get("a") == nil)
    let first = try await store.put("a", "1")
    #expect(try await store.get("a") == VersionedValue(value: [49], sequence: first))
    let second = try await store.put("a", "22", durability: .buffered)
    #expect(second > first)
    #expect(try await store.get("a")?.value == [50, 50])
    #expect(try await store.contains("a"))
    #expect(try await store.delete("a") != nil)
    #expect(try await store.delete("a") == nil)
    #expect(try await store.get("a") == nil)
    #expect(try await store.contains("a") == false)
    try await store.close()
    try await store.close()
    #expect(await API.code { _ = try await store.get("a") } == .closed)
  }
}
