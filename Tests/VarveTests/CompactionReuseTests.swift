import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Compactions whose victims die, and are used again, while their records are on their way.
@Suite(.serialized) struct CompactionReuseTests {
  /// A store of 2 MiB with a key whose record is alone in its segment.
  private struct Scene {
    let device: GateDevice
    let gate = IdleGate()
    let store: Store
    let location: RecordLocation
    let segment: SegmentIndex

    static let key = Array("key".utf8)

    static func value(_ text: String) -> [UInt8] {
      var random = SeededGenerator(seed: UInt64(text.utf8.count))
      return Array(text.utf8) + random.bytes(3000)
    }

    init() async throws {
      device = GateDevice(
        try await API.formatted(byteCount: 2 << 20, segmentByteCount: 32 << 10).image)
      var options = TestingStore.options
      options.compactsWhenIdle = false
      options.cacheEnabled = false
      store = try await gate.openStore(device, options: options)
      // Five pages of a segment take records; each of these takes one.
      try await store.put("first", Scene.value("x"))
      try await store.put(Scene.key, Scene.value("old"))
      let core = store.core
      location = RecordLocation(rawValue: core.index.find(Scene.hash(in: core)))
      segment = try #require(core.geometry.segment(containing: location.page))
      for number in 0..<3 { try await store.put("other \(number)", Scene.value("x")) }
      try await store.put("first", Scene.value("y"))
      for number in 0..<3 { try await store.put("other \(number)", Scene.value("y")) }
      for _ in 0..<6 { try await store.put("filler", Scene.value("y")) }
      let (store, segment) = (store, segment)
      await API.until { Scene.info(of: segment, in: store).state == .sealed }
    }

    static func hash(in core: StoreCore) -> KeyHash {
      // SAFETY: the bytes of an array of bytes have no padding.
      unsafe KeyHash(of: key.span.bytes, keyedBy: core.hashKey)
    }

    static func info(of segment: SegmentIndex, in store: Store) -> SegmentInfo {
      store.segments[Int(segment.rawValue)]
    }

    /// Holds back what compaction writes.
    func holdCopies() {
      let store = store
      let geometry = store.core.geometry
      device.install { [weak store] request in
        guard request.operation == .write, let store,
          let segment = geometry.segment(
            containing: PageIndex(request.byteOffset / UInt64(Limits.pageByteCount))),
          segment.rawValue < UInt32(store.core.segments.count)
        else { return .pass }
        let info = Scene.info(of: segment, in: store)
        return info.state == .open && info.stream == .relocation1 ? .hold : .pass
      }
    }
  }

  /// A copy counts only where the index still names the original, which is one record, not one
  /// place: so the place is kept from others while the copy is on its way.
  @Test func aVictimThatDiesIsNotUsedAgainWhileItsCopiesAreOnTheirWay() async throws {
    let scene = try await Scene()
    let store = scene.store
    scene.holdCopies()
    async let compaction: Void = store.compact()
    await API.until { scene.device.heldCount > 0 }
    try await store.put(Scene.key, Scene.value("second"))
    // Its segment has nothing live left; others in that state are freed.
    await API.until { Scene.info(of: scene.segment, in: store).liveRecordCount == 0 }
    let before = store.statistics.freedSegmentCount
    while store.statistics.freedSegmentCount < before + 4 {
      try await store.put("filler", Scene.value("y"))
    }
    #expect(Scene.info(of: scene.segment, in: store).state == .sealed)
    try await store.put(Scene.key, Scene.value("newest"))
    scene.device.release()
    try await compaction
    #expect(try await store.get(Scene.key)?.value == Scene.value("newest"))
    await API.until { Scene.info(of: scene.segment, in: store).state != .sealed }
    for _ in 0..<600 { try await store.put("filler", Scene.value("y")) }
    let left = RAMDevice(image: scene.device.medium.image, delivery: .inline)
    let reopened = try await Store.open(device: left, options: TestingStore.options)
    #expect(try await reopened.get(Scene.key)?.value == Scene.value("newest"), "after a crash")
    try await reopened.close()
    scene.gate.open()
    try await store.close()
  }
}
