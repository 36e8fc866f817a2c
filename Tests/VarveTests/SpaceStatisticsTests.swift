import Synchronization
import Testing
import VarveTesting

@testable import Varve

/// What a store counts of its space, and of what keeping it costs.
@Suite struct SpaceStatisticsTests {
  /// A microsecond passes whenever somebody looks.
  private final class TickingClock: Sendable {
    private let nanoseconds = Atomic<UInt64>(0)

    var environment: StoreEnvironment {
      var environment = StoreEnvironment()
      environment.monotonicNanoseconds = {
        self.nanoseconds.add(1_000, ordering: .relaxed).newValue
      }
      return environment
    }
  }

  @Test func overwritesAreAccountedFor() async throws {
    let segmentByteCount = 64 << 10
    let device = try await API.formatted(segmentByteCount: segmentByteCount)
    var options = TestingStore.options
    options.compression = false
    let store = try await Store.open(
      device: device, options: options, environment: TickingClock().environment)
    var random = SeededGenerator(seed: 5)
    let value = [UInt8](repeating: 7, count: 3_000)
    for _ in 0..<6_000 {
      try await store.put("\(random.below(900))", value, durability: .buffered)
    }
    try await store.compact()
    let statistics = store.statistics

    let victimCount = statistics.compactedSegmentCount
    #expect(victimCount > 0 && statistics.relocatedRecordCount > 0)
    #expect(statistics.relocationByteCount >= statistics.relocatedRecordCount * 3_000)
    // Each gave back something, and none more than itself.
    #expect(statistics.reclaimedByteCount > victimCount * UInt64(segmentByteCount / 32))
    #expect(statistics.reclaimedByteCount < victimCount * UInt64(segmentByteCount))
    // Two pages at least for each segment that was sealed.
    #expect(statistics.summaryByteCount > victimCount * 2 * 4096)
    #expect(statistics.summaryByteCount < statistics.metadataByteCount)

    // Keys share no pages, so each needs one.
    #expect(statistics.liveByteCount == statistics.keyCount * 4096)
    // The two are not looked at in one moment, and a segment may just be made ready.
    await API.until {
      store.statistics.usedByteCount
        == store.segments.reduce(0) { $0 + ($1.state == .free ? 0 : $1.byteCount) }
    }
    let ratio = Double(statistics.usedByteCount) / Double(statistics.liveByteCount)
    #expect(statistics.spaceAmplification == ratio && ratio > 1)

    // One look at the beginning of a wait and one at its end.
    #expect(statistics.spaceWaitCount > 0)
    #expect(statistics.spaceWaitNanoseconds >= statistics.spaceWaitCount * 1_000)
    try await store.close()
  }

  @Test func anEmptyStoreHasNothingToTell() async throws {
    let device = try await API.formatted()
    let store = try await Store.open(device: device, options: TestingStore.options)
    let statistics = store.statistics
    #expect(statistics.liveByteCount == 0 && statistics.spaceAmplification == 0)
    #expect(statistics.spaceWaitCount == 0 && statistics.compactedSegmentCount == 0)
    try await store.close()
  }
}
