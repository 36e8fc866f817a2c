import Testing
import VarveTesting

@testable import Varve

/// What a store says of its segments.
@Suite struct SegmentInfoTests {
  private let value = [UInt8](repeating: 1, count: 3_000)

  private func fill(_ store: Store, _ numbers: Range<Int>) async throws {
    for number in numbers { try await store.put("\(number)", value, durability: .buffered) }
    try await store.sync()
  }

  private var options: StoreOptions {
    var options = TestingStore.options
    options.compression = false
    return options
  }

  @Test func segmentsAddUpToTheStore() async throws {
    let device = try await API.formatted()
    let store = try await Store.open(device: device, options: options)
    #expect(store.segments.allSatisfy { $0.liveShare == 0 })
    try await fill(store, 0..<400)
    try await store.delete("7")
    await API.until { store.segments.count { $0.state == .sealed } > 30 }
    let segments = store.segments
    let statistics = store.statistics
    #expect(segments.map(\.index) == Array(0..<statistics.segmentCount))
    #expect(segments.allSatisfy { ($0.stream == nil) == ($0.state == .free) })
    #expect(segments.compactMap(\.liveRecordCount).reduce(0, +) == 399)
    #expect(segments.compactMap(\.liveTombstoneCount).reduce(0, +) == 1)
    let used = segments.filter { $0.state != .free }
    #expect(used.allSatisfy { $0.generation > 0 })
    #expect(Set(used.compactMap(\.newerSegmentCount)) == Set(0..<used.count))
    // Of those that were sealed while somebody looked on, everything is known.
    let sealed = segments.filter { $0.state == .sealed }
    #expect(sealed.allSatisfy { $0.recordCount ?? 0 > 0 && $0.usedByteCount ?? 0 > 4096 })
    #expect(segments.compactMap(\.recordCount).reduce(0, +) == 401)
    let byAge = sealed.sorted { $0.newerSegmentCount ?? 0 > $1.newerSegmentCount ?? 0 }
    let firsts = byAge.compactMap(\.firstSequence)
    #expect(firsts.count == byAge.count && firsts == firsts.sorted())
    #expect(sealed.allSatisfy { $0.liveShare ?? 0 >= 0.5 })
    // Each record has a page; the tombstone takes less than one.
    #expect(sealed.allSatisfy { ($0.liveByteCount ?? 0) / 4096 == $0.liveRecordCount })
    try await store.close()
  }

  @Test func whatIsOverwrittenIsNoLongerLive() async throws {
    let device = try await API.formatted()
    let store = try await Store.open(device: device, options: options)
    try await fill(store, 0..<300)
    await API.until { store.segments.count { $0.state == .sealed } > 20 }
    let sealed = store.segments.filter { $0.state == .sealed && $0.newerSegmentCount ?? 0 > 5 }
    // Every second record of the old ones.
    for number in stride(from: 0, to: 300, by: 2) { try await store.put("\(number)", value) }
    for segment in sealed {
      let now = store.segments[segment.index]
      #expect(now.generation == segment.generation && now.recordCount == segment.recordCount)
      #expect((now.liveShare ?? 1) < 0.7 * (segment.liveShare ?? 0), "\(segment.index)")
    }
    try await store.close()
  }

  @Test func aStoreAtAPathIsSeenClosedAndInUse() async throws {
    try await API.withPath { path in
      try await Store.create(path: path, options: FormatOptions(byteCount: 8 << 20, label: "map"))
      let store = try await Store.open(path: path, options: options)
      try await fill(store, 0..<300)
      await API.until { store.segments.count { $0.state == .sealed } > 20 }
      let live = try await Store.segmentMap(path: path, options: options)
      #expect(live.isLive && !live.hasLiveCounts && live.label == "map")
      #expect(live.findings.isEmpty, "\(live.findings)")
      #expect(live.liveShare == nil)
      let sealed = live.segments.filter { $0.state == .sealed }
      #expect(sealed.count > 20)
      #expect(sealed.allSatisfy { $0.recordCount ?? 0 > 0 && $0.liveRecordCount == nil })
      // What the holder says completes it.
      var completed = live
      completed.update(with: store.segments)
      #expect(completed.hasLiveCounts)
      try await store.close()

      let closed = try await Store.segmentMap(path: path, options: options)
      #expect(!closed.isLive && closed.hasLiveCounts && closed.findings.isEmpty)
      #expect(closed.uuid == live.uuid && closed.segmentByteCount == live.segmentByteCount)
      #expect(closed.segments.compactMap(\.liveRecordCount).reduce(0, +) == 300)
      let share = try #require(closed.liveShare)
      #expect(share > 0.1 && share < 0.5)
      for segment in closed.segments where segment.state == .sealed && segment.stream == .user {
        #expect(segment.recordCount != nil && segment.newerSegmentCount != nil)
      }
    }
  }

  @Test func theNewerDescriptionWinsWhereASegmentIsInAnotherUse() {
    var old = SegmentInfo()
    old.index = 1
    old.state = .sealed
    old.generation = 3
    old.recordCount = 10
    old.firstSequence = 77
    var map = SegmentMap()
    map.segments = [SegmentInfo(), old]
    var newer = old
    newer.recordCount = nil
    newer.firstSequence = nil
    newer.liveRecordCount = 4
    var foreign = newer
    foreign.index = 2
    map.update(with: [newer, foreign])
    #expect(map.segments.count == 2)
    #expect(map.segments[1].recordCount == 10 && map.segments[1].liveRecordCount == 4)
    newer.generation = 4
    map.update(with: [newer])
    #expect(map.segments[1].recordCount == nil && map.segments[1].firstSequence == nil)
  }

  @Test func theLiveShareIsWhatIsKnown() {
    var info = SegmentInfo()
    info.byteCount = 100 << 10
    #expect(info.liveShare == 0)
    info.state = .sealed
    info.stream = .user
    #expect(info.liveShare == nil)
    info.usedByteCount = 80 << 10
    info.liveRecordCount = 20
    #expect(info.liveShare == nil)
    info.liveByteCount = 40 << 10
    #expect(info.liveShare == 0.4)
    // Records are counted as they could be packed; where they do not come that way, it is no more
    // than what they take.
    info.liveByteCount = 90 << 10
    #expect(info.liveShare == 0.8)
    info.liveByteCount = 0
    #expect(info.liveShare == 0)
    info.stream = .checkpoint
    #expect(info.liveShare == 0.8)
  }
}
