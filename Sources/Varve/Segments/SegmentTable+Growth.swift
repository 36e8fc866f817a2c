// The table of a store that grows. At the head it goes on behind its last page; at the tail all of
// it is written to the new end. Only after that a superblock names the new size.

import VarveFormat
import VarveIO

extension SegmentTablePage {
  /// Whether a page of a grown table describes other segments than the smaller table did there.
  func hasOtherEntries(than smaller: SegmentTable, _ ordinal: Int) -> Bool {
    ordinal >= smaller.pages.count || entries.count != smaller.pages[ordinal].entries.count
  }
}

extension SegmentTable {
  /// Pages written by one request.
  private static let tailWritePageCount = 64

  /// Writes the copy at the new end, all slots of it, and flushes.
  ///
  /// DURABILITY: no superblock names that end yet, and it does not touch the old one, so that where
  /// this fails the store is as it was. The other slot of each page is blank: nothing that lay
  /// there before can be newer. The flush covers what a file has gained, too.
  /// - Returns: bytes written.
  func writeTail(on device: any BlockDevice) async throws(IOError) -> Int {
    let pageCount = 2 * pages.count
    let buffer = PageBuffer(pageCount: min(SegmentTable.tailWritePageCount, pageCount))
    var start = 0
    while start < pageCount {
      let count = min(SegmentTable.tailWritePageCount, pageCount - start)
      for position in 0..<count { encode(start + position, copy: 1, into: buffer, position) }
      let first = geometry.tablePage(start / 2, copy: 1, slot: 0)
      if let error = await device.write(count, pagesAt: first, from: buffer) { throw error }
      start += count
    }
    if let error = await device.flush() { throw error }
    return pageCount * Limits.pageByteCount
  }

  /// Writes the pages at the head that `smaller` does not have so, and flushes.
  ///
  /// DURABILITY: a page that both sizes have lies in the slot that the smaller store does not read
  /// from, and has a count of entries that it does not take: until a superblock names the new size,
  /// the store has the page as it was. A copy that cannot be written is made up for by the tail.
  /// - Returns: bytes written.
  func writeHead(
    insteadOf smaller: SegmentTable, on device: any BlockDevice
  ) async throws(IOError) -> Int {
    let buffer = PageBuffer(pageCount: 2)
    var writtenPageCount = 0
    for ordinal in pages.indices where pages[ordinal].hasOtherEntries(than: smaller, ordinal) {
      for slot in 0..<2 { encode(2 * ordinal + slot, copy: 0, into: buffer, slot) }
      // Of a page that is new, both slots: its place has held anything.
      let isNew = ordinal >= smaller.pages.count
      let slot = isNew ? 0 : pages[ordinal].slot
      let count = isNew ? 2 : 1
      _ = await device.write(
        count, pagesAt: geometry.tablePage(ordinal, copy: 0, slot: slot), from: buffer,
        bufferPage: slot)
      writtenPageCount += count
    }
    if let error = await device.flush() { throw error }
    return writtenPageCount * Limits.pageByteCount
  }

  /// Encodes a place of a copy, which are the slots of page 0, of page 1 and so on; blank where the
  /// page lies in the other slot.
  private func encode(_ place: Int, copy: Int, into buffer: PageBuffer, _ bufferPage: Int) {
    let (ordinal, slot) = (place / 2, place % 2)
    let page = pages[ordinal]
    buffer.withMutablePage(bufferPage) { bytes in
      guard page.slot == slot else { return bytes.zero(0..<bytes.byteCount) }
      page.encode(
        into: &bytes, at: geometry.tablePage(ordinal, copy: copy, slot: slot), uuid: uuid,
        checksum: checksum)
    }
  }
}
