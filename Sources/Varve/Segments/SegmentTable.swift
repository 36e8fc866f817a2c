// The durable segment table: written through at every change, so that no change needs to be
// logged elsewhere. An update writes the page's other slot in both copies and flushes; a crash
// leaves the old page or the new one. Used by one task at a time: recovery, then `Maintenance`.

import VarveFormat
import VarveIO

/// The segment table of an open store.
struct SegmentTable {
  let geometry: Geometry
  let uuid: StoreUUID
  let checksum: Checksum
  private(set) var pages: [SegmentTablePage]
  /// Pages that stand on one copy.
  private var weakPages: [Int] = []

  /// The table of a fresh store: every segment free.
  init(empty geometry: Geometry, uuid: StoreUUID) {
    self.geometry = geometry
    self.uuid = uuid
    checksum = Checksum(uuid: uuid)
    pages = (0..<Int(geometry.tablePageCount.rawValue)).map { ordinal in
      let first = ordinal * SegmentTablePage.entriesPerPage
      let count = max(
        0, min(SegmentTablePage.entriesPerPage, Int(geometry.segmentCount) - first))
      return SegmentTablePage(
        version: 0, ordinal: UInt32(ordinal),
        entries: Array(repeating: SegmentEntry(state: .free), count: count))
    }
  }

  /// The table of a store that grows: the segments that it gains are free. Pages whose entries
  /// become more have the next version, and so lie in the slot that the smaller store does not read
  /// from.
  init(growing table: SegmentTable, to geometry: Geometry) {
    self.init(empty: geometry, uuid: table.uuid)
    for (ordinal, page) in table.pages.enumerated() {
      pages[ordinal].version = page.version
      pages[ordinal].entries.replaceSubrange(0..<page.entries.count, with: page.entries)
    }
    for ordinal in pages.indices where pages[ordinal].hasOtherEntries(than: table, ordinal) {
      pages[ordinal].version += 1
    }
  }

  /// The entry of a segment.
  subscript(segment: SegmentIndex) -> SegmentEntry {
    let index = Int(segment.rawValue)
    return pages[index / SegmentTablePage.entriesPerPage].entries[
      index % SegmentTablePage.entriesPerPage]
  }

  /// Every segment with its entry, in the order of the device.
  var entries: [(segment: SegmentIndex, entry: SegmentEntry)] {
    (0..<geometry.segmentCount).map { (SegmentIndex($0), self[SegmentIndex($0)]) }
  }

  /// Sets an entry in memory only, where the table is damaged and the store is read-only.
  mutating func assume(_ entry: SegmentEntry, for segment: SegmentIndex) {
    let index = Int(segment.rawValue)
    pages[index / SegmentTablePage.entriesPerPage].entries[
      index % SegmentTablePage.entriesPerPage] = entry
  }

  /// Changes entries and makes the change durable.
  ///
  /// DURABILITY: the slot that holds the newest valid page is never written, so a crash in the
  /// middle leaves it; the flush comes before anything relies on the new state.
  mutating func update(
    _ changes: [(SegmentIndex, SegmentEntry)], on device: any BlockDevice
  ) async throws(IOError) -> Int {
    var touched: [Int] = []
    for (segment, entry) in changes {
      assume(entry, for: segment)
      let ordinal = Int(segment.rawValue) / SegmentTablePage.entriesPerPage
      if !touched.contains(ordinal) { touched.append(ordinal) }
    }
    return try await write(touched, on: device)
  }

  /// Writes every page anew, for a fresh store.
  mutating func writeAll(on device: any BlockDevice) async throws(IOError) -> Int {
    try await write(Array(pages.indices), on: device)
  }

  private mutating func write(
    _ ordinals: [Int], on device: any BlockDevice
  ) async throws(IOError) -> Int {
    let buffer = PageBuffer(pageCount: 2)
    for ordinal in ordinals {
      pages[ordinal].version += 1
      let page = pages[ordinal]
      let targets = (0..<2).map { geometry.tablePage(ordinal, copy: $0, slot: page.slot) }
      for (copy, target) in targets.enumerated() {
        buffer.withMutablePage(copy) {
          page.encode(into: &$0, at: target, uuid: uuid, checksum: checksum)
        }
      }
      async let first = device.write(1, pagesAt: targets[0], from: buffer)
      async let second = device.write(1, pagesAt: targets[1], from: buffer, bufferPage: 1)
      let failures = (await first, await second)
      // One copy carries the state; with none, nothing may rely on it.
      if failures.0 != nil, let failure = failures.1 { throw failure }
    }
    if let error = await device.flush() { throw error }
    return ordinals.count * 2 * Limits.pageByteCount
  }

  /// Writes the pages anew of which only one copy of the newest version was whole at open.
  mutating func rewriteWeakPages(on device: any BlockDevice) async throws(IOError) -> Int {
    defer { weakPages = [] }
    return try await weakPages.isEmpty ? 0 : write(weakPages, on: device)
  }

  /// Reads the table. A page of which no copy is valid is reported and left free of entries; so is
  /// one of which the device cannot read either copy of the other slot, since that may be newer.
  static func read(
    geometry: Geometry, uuid: StoreUUID, from device: any BlockDevice
  ) async -> (table: SegmentTable, lostPages: [Int]) {
    var table = SegmentTable(empty: geometry, uuid: uuid)
    var lost: [Int] = []
    for ordinal in table.pages.indices {
      let newest = await table.readPage(ordinal, from: device)
      if let newest {
        table.pages[ordinal] = newest.page
        if newest.copyCount < 2 { table.weakPages.append(ordinal) }
      } else {
        lost.append(ordinal)
      }
    }
    return (table, lost)
  }

  private func readPage(
    _ ordinal: Int, from device: any BlockDevice
  ) async -> (page: SegmentTablePage, copyCount: Int)? {
    let buffer = PageBuffer(pageCount: 1)
    var newest: (page: SegmentTablePage, copyCount: Int)?
    var unreadableCounts = [0, 0]
    for place in 0..<4 {
      let slot = place % 2
      let source = geometry.tablePage(ordinal, copy: place / 2, slot: slot)
      guard await device.read(1, pagesAt: source, into: buffer) == nil else {
        unreadableCounts[slot] += 1
        continue
      }
      let page = buffer.withPage(0) { bytes in
        try? SegmentTablePage(
          decoding: bytes, at: source, ordinal: UInt32(ordinal), uuid: uuid, checksum: checksum)
      }
      guard let page, page.slot == slot, page.entries.count == pages[ordinal].entries.count
      else { continue }
      if page.version > newest?.page.version ?? 0 {
        newest = (page, 1)
      } else if page.version == newest?.page.version {
        newest?.copyCount += 1
      }
    }
    guard let newest, unreadableCounts[1 - newest.page.slot] < 2 else { return nil }
    return newest
  }
}
