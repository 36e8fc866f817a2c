import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Sweeps during which the segment of a tombstone is used again.
@Suite(.serialized) struct SweepReuseTests {
  private static let key = Array("key".utf8)

  private static func value(_ seed: UInt64) -> [UInt8] {
    var random = SeededGenerator(seed: seed)
    return random.bytes(3000)
  }

  private func location(in store: Store) -> RecordLocation {
    // SAFETY: the bytes of an array of bytes have no padding.
    let hash = unsafe KeyHash(of: Self.key.span.bytes, keyedBy: store.core.hashKey)
    return RecordLocation(rawValue: store.core.index.find(hash))
  }

  /// Lets reads go one after the other, slowly: only the sweep reads.
  private func slowReads(of device: GateDevice, until stop: StopFlag) -> Task<Void, Never> {
    device.install { $0.operation == .read ? .hold : .pass }
    return Task {
      while !stop.isSet {
        try? await Task.sleep(nanoseconds: 5_000_000)
        if device.heldCount > 0 { device.releaseFirst() }
      }
      device.release()
    }
  }

  /// Writes until the next record goes to a place.
  private func comeRound(to place: RecordLocation, in store: Store) async throws {
    let geometry = store.core.geometry
    let segment = try #require(geometry.segment(containing: place.page))
    let firstPage = geometry.firstPage(of: segment).rawValue
    for _ in 0..<20_000 {
      let (current, page) = store.core.log.state.withLock {
        ($0.current?.segment, $0.current?.nextPage ?? 0)
      }
      if current == segment, firstPage + UInt64(page) == place.page.rawValue { return }
      try await store.put("filler", Self.value(2))
    }
    Issue.record("the segment was not used again")
  }

  /// No rollback: a tombstone that lies where another one lay has older records of its own.
  @Test func aTombstoneInThePlaceOfAnotherLives() async throws {
    let device = GateDevice(
      try await API.formatted(byteCount: 2 << 20, segmentByteCount: 32 << 10).image)
    let (gate, stop) = (IdleGate(), StopFlag())
    let store = try await gate.openStore(device, options: TestingStore.options)
    for number in 0..<210 { try await store.put("cold \(number)", Self.value(1)) }
    try await store.put(Self.key, Self.value(3))
    for _ in 0..<10 { try await store.put("filler", Self.value(2)) }
    let reads = slowReads(of: device, until: stop)
    try await store.delete(Self.key)
    let place = location(in: store)
    for _ in 0..<10 { try await store.put("filler", Self.value(2)) }
    await API.until { device.heldCount > 0 }
    // The sweep has begun. The tombstone dies, and its segment is used again.
    try await store.put(Self.key, Self.value(4))
    try await store.put("neighbour", Self.value(1))
    try await comeRound(to: place, in: store)
    try await store.delete(Self.key)
    #expect(location(in: store) == place, "the tombstone lies where the first one was")
    stop.set()
    await reads.value
    for _ in 0..<300 { try await store.put("filler", Self.value(2)) }
    #expect(try await store.get(Self.key) == nil)
    let left = RAMDevice(image: device.medium.image, delivery: .inline)
    let reopened = try await Store.open(device: left, options: TestingStore.options)
    #expect(try await reopened.get(Self.key) == nil, "what was deleted is back after a crash")
    try await reopened.close()
    gate.open()
    try await store.close()
  }
}
