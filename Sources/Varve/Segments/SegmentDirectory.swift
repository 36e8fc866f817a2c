// What every segment is right now, for those who cannot wait: readers pin a segment and learn its
// generation without a lock, the log counts what is live in it. The durable truth is the
// `SegmentTable`; this is its image in memory, plus the counts that nothing stores.

import Synchronization
import VarveFormat

/// A number of records and the bytes of pages that they need, in one word, so that one atomic
/// addition counts both. No segment holds 2³¹ of either.
struct LiveCount {
  private(set) var rawValue: UInt64

  init(rawValue: UInt64 = 0) { self.rawValue = rawValue }

  /// One record that needs so many bytes of pages.
  init(packedByteCount: Int) { rawValue = UInt64(packedByteCount) << 32 | 1 }

  var recordCount: Int { Int(rawValue & 0xffff_ffff) }
  var byteCount: Int { Int(rawValue >> 32) }
}

/// The counts of one segment.
struct SegmentCounters: ~Copyable {
  let generation = Atomic<UInt32>(0)
  /// Reads and discards in flight, and compactions: a pinned segment is not reused.
  let pins = Atomic<Int>(0)
  /// Records that the index names, tombstones aside.
  let liveRecords = Atomic<UInt64>(LiveCount().rawValue)
  /// Tombstones that the index names.
  let liveTombstones = Atomic<UInt64>(LiveCount().rawValue)
  /// Pages of the segment from this one on may still be in the write buffer only.
  let bufferedFloor = Atomic<UInt32>(UInt32.max)
}

/// All segments of a store.
///
/// SAFETY: the memory lives as long as this object and holds nothing but atomics.
///
/// There is room for as many segments as the store may come to have while it is open, so that no
/// reader ever meets memory that moves. What lies behind `count` has never been touched: it takes
/// addresses and no pages.
@safe final class SegmentDirectory: @unchecked Sendable {
  private let currentCount: Atomic<Int>
  /// How many segments there is room for.
  let capacity: Int
  private let counters: UnsafeMutablePointer<SegmentCounters>
  private let geometry: Geometry
  /// Pages of a segment that records may take.
  let payloadPageCount: Int
  private let indexedTombstones = Atomic<Int>(0)
  private let indexedExpiries = Atomic<Int>(0)

  /// With room for what the store may become, but for no more than `segmentLimit` segments.
  init(geometry: Geometry, segmentLimit: Int) {
    let count = Int(geometry.segmentCount)
    // Finds what segments that come later hold, too.
    self.geometry = geometry.largest
    capacity = max(count, min(segmentLimit, Int(self.geometry.segmentCount)))
    currentCount = Atomic(0)
    payloadPageCount = max(1, Int(geometry.framePageLimit(summaryPages: PageCount(1)).rawValue) - 1)
    unsafe counters = .allocate(capacity: capacity)
    grow(to: count)
  }

  /// How many segments there are.
  var count: Int { currentCount.load(ordering: .acquiring) }

  /// Adds segments in which nothing is live. Called by one task alone.
  func grow(to newCount: Int) {
    precondition(newCount <= capacity, "more segments than there is room for")
    for index in count..<newCount {
      // SAFETY: allocated in init, and out of everybody's reach until the count says so.
      unsafe (counters + index).initialize(to: SegmentCounters())
    }
    currentCount.store(newCount, ordering: .releasing)
  }

  deinit {
    unsafe counters.deinitialize(count: count)
    unsafe counters.deallocate()
  }

  /// Lends the counts of a segment.
  @inline(__always)
  func with<R>(_ segment: SegmentIndex, _ body: (borrowing SegmentCounters) -> R) -> R {
    precondition(Int(segment.rawValue) < count, "segment out of range")
    // SAFETY: in range, initialised when the count came to include it.
    return unsafe body(counters[Int(segment.rawValue)])
  }

  func generation(of segment: SegmentIndex) -> Generation {
    Generation(with(segment) { $0.generation.load(ordering: .acquiring) })
  }

  func setGeneration(_ generation: Generation, of segment: SegmentIndex) {
    with(segment) { $0.generation.store(generation.rawValue, ordering: .releasing) }
  }

  func pin(_ segment: SegmentIndex) {
    with(segment) { _ = $0.pins.add(1, ordering: .sequentiallyConsistent) }
  }

  func unpin(_ segment: SegmentIndex) {
    with(segment) { _ = $0.pins.subtract(1, ordering: .sequentiallyConsistent) }
  }

  func isPinned(_ segment: SegmentIndex) -> Bool {
    with(segment) { $0.pins.load(ordering: .sequentiallyConsistent) > 0 }
  }

  /// Tombstones that the index names.
  var indexedTombstoneCount: Int { indexedTombstones.load(ordering: .relaxed) }

  /// Records with an expiry that the index names.
  var indexedExpiryCount: Int { indexedExpiries.load(ordering: .relaxed) }

  /// Counts a change of what the index names.
  func noteIndexed(_ new: RecordLocation, insteadOf old: RecordLocation) {
    let change = (new.isTombstone ? 1 : 0) - (old.isTombstone ? 1 : 0)
    if change != 0 { indexedTombstones.add(change, ordering: .relaxed) }
    let expiries = (new.hasExpiry ? 1 : 0) - (old.hasExpiry ? 1 : 0)
    if expiries != 0 { indexedExpiries.add(expiries, ordering: .relaxed) }
  }

  private func liveCount(_ location: RecordLocation) -> LiveCount {
    LiveCount(packedByteCount: location.packedByteCount(payloadPageCount: payloadPageCount))
  }

  /// Counts a record that the index now names.
  func addLive(_ location: RecordLocation) {
    guard let segment = geometry.segment(containing: location.page) else { return }
    let record = liveCount(location).rawValue
    with(segment) {
      if location.isTombstone {
        _ = $0.liveTombstones.wrappingAdd(record, ordering: .relaxed)
      } else {
        _ = $0.liveRecords.wrappingAdd(record, ordering: .relaxed)
      }
    }
  }

  /// Counts a record as dead; true when the segment has nothing live left of its kind.
  func removeLive(_ location: RecordLocation) -> Bool {
    guard let segment = geometry.segment(containing: location.page) else { return false }
    let record = liveCount(location)
    return with(segment) {
      let before =
        location.isTombstone
        ? $0.liveTombstones.wrappingSubtract(record.rawValue, ordering: .acquiringAndReleasing)
          .oldValue
        : $0.liveRecords.wrappingSubtract(record.rawValue, ordering: .acquiringAndReleasing)
          .oldValue
      let left = LiveCount(rawValue: before)
      precondition(
        left.recordCount > 0 && left.byteCount >= record.byteCount,
        "more records died in a segment than lived in it")
      return left.recordCount == 1
    }
  }

  func liveRecordCount(of segment: SegmentIndex) -> Int {
    with(segment) { LiveCount(rawValue: $0.liveRecords.load(ordering: .acquiring)).recordCount }
  }

  func liveTombstoneCount(of segment: SegmentIndex) -> Int {
    with(segment) { LiveCount(rawValue: $0.liveTombstones.load(ordering: .acquiring)).recordCount }
  }

  /// Bytes of pages that the records and tombstones need that the index names.
  func liveByteCount(of segment: SegmentIndex) -> Int {
    with(segment) {
      LiveCount(rawValue: $0.liveRecords.load(ordering: .acquiring)).byteCount
        + LiveCount(rawValue: $0.liveTombstones.load(ordering: .acquiring)).byteCount
    }
  }

  /// The same, of the whole store.
  var liveByteCount: Int {
    (0..<UInt32(count)).reduce(0) { $0 + liveByteCount(of: SegmentIndex($1)) }
  }

  func setBufferedFloor(_ page: UInt32, of segment: SegmentIndex) {
    with(segment) { $0.bufferedFloor.store(page, ordering: .releasing) }
  }

  /// Whether a page may be in the write buffer only.
  func mayBeBuffered(_ page: PageIndex, in segment: SegmentIndex) -> Bool {
    let floor = with(segment) { $0.bufferedFloor.load(ordering: .acquiring) }
    return page.rawValue - geometry.firstPage(of: segment).rawValue >= UInt64(floor)
  }
}
