import Testing
import VarveFormat

/// The packed word that names a record.
@Suite struct RecordLocationTests {
  @Test func packsAndUnpacks() {
    let seed: UInt64 = 11
    var random = Seeded(seed)
    for _ in 0..<20_000 {
      let page = PageIndex(random.magnitude(upTo: Limits.maximumPageCount - 1))
      let slot = UInt8(random.below(256))
      let pages = PageCount(UInt32(1 + random.below(Limits.maximumExtentPageCount)))
      let isTombstone = random.flip()
      let byteCount = 16 * (1 + random.below(256))
      let hasExpiry = random.flip()
      let location = RecordLocation(
        page: page, slot: slot, pageCount: pages, recordByteCount: byteCount,
        isTombstone: isTombstone, hasExpiry: hasExpiry)
      #expect(location.page == page && location.slot == slot, "seed \(seed)")
      #expect(location.isTombstone == isTombstone && location.pageCountToRead >= pages)
      #expect(location.hasExpiry == hasExpiry)
      #expect(
        location
          == RecordLocation(
            page: page, slot: slot, lengthHint: location.lengthHint,
            sizeClass: location.sizeClass, isTombstone: isTombstone,
            hasExpiry: hasExpiry))
      #expect(location.byteCount >= (pages.rawValue == 1 ? byteCount : 0))
      let target = PageIndex(random.magnitude(upTo: Limits.maximumPageCount - 1))
      let moved = location.moved(to: target)
      #expect(moved.page == target && moved.moved(to: page) == location)
      #expect(RecordLocation(rawValue: location.rawValue) == location)
    }
  }

  /// Exact up to 128 pages, then never fewer pages than there are and at most 31 more.
  @Test func lengthHints() {
    var previous: UInt8 = 0
    for count in 1...UInt32(Limits.maximumExtentPageCount) {
      let hint = RecordLocation.lengthHint(for: PageCount(count))
      let location = RecordLocation(
        page: PageIndex(9), slot: 0, lengthHint: hint, sizeClass: 0, isTombstone: false)
      let read = location.pageCountToRead.rawValue
      #expect(read >= count && read < count + (count <= 128 ? 1 : 32))
      #expect(hint >= previous)
      previous = hint
    }
    #expect(previous == UInt8.max)
  }

  @Test func neverNone() {
    let first = RecordLocation(
      page: PageIndex(1), slot: 0, pageCount: PageCount(1), recordByteCount: 16,
      isTombstone: false)
    #expect(first != .none && first.rawValue == 1 << 24)
  }

  /// Exact up to 512 bytes, then never less than the record has and under 112 more.
  @Test func sizeClasses() {
    var previous: UInt8 = 0
    for byteCount in stride(from: 16, through: Limits.pageByteCount, by: 16) {
      let sizeClass = RecordLocation.sizeClass(for: byteCount)
      #expect(sizeClass < 64 && sizeClass >= previous)
      let stored = RecordLocation.byteCount(ofSizeClass: sizeClass)
      #expect(stored >= byteCount && stored < byteCount + (byteCount <= 512 ? 1 : 112))
      previous = sizeClass
    }
    let large = RecordLocation(
      page: PageIndex(1), slot: 0, pageCount: PageCount(3), recordByteCount: 9000,
      isTombstone: false)
    #expect(large.sizeClass == 0 && large.byteCount == 3 * Limits.pageByteCount)
  }
}
