import VarveFormat
import VarveIO

/// Pages lent from a window.
struct RawPages {
  let buffer: PageBuffer
  let range: Range<Int>

  func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try buffer.withBytes(range, body)
  }
}

/// A view of one segment that reads ahead, so that walking it costs few large requests. Bounded by
/// the largest frame. What is walked in one direction is read once: where a frame goes beyond the
/// window, what the window already has of it is kept.
struct SegmentWindow {
  private let device: any BlockDevice
  private let firstPage: PageIndex
  private let pageCount: Int
  private var buffer: PageBuffer?
  private var start = 0
  private var end = 0
  private(set) var failure: IOError?
  private(set) var readPageCount = 0

  init(device: any BlockDevice, firstPage: PageIndex, pageCount: Int) {
    self.device = device
    self.firstPage = firstPage
    self.pageCount = pageCount
  }

  /// Pages `page ..< page + count` of the segment, or nil where they cannot be read.
  mutating func load(_ page: Int, _ count: Int) async -> RawPages? {
    guard count > 0, page >= 0, page + count <= pageCount else { return nil }
    if page < start || page + count > end || buffer == nil {
      guard await fill(from: page, atLeast: count) else { return nil }
    }
    guard let buffer else { return nil }
    let first = (page - start) * Limits.pageByteCount
    return RawPages(buffer: buffer, range: first..<first + count * Limits.pageByteCount)
  }

  private mutating func fill(from page: Int, atLeast count: Int) async -> Bool {
    let wanted = min(max(count, FrameScanner.windowPageCount), pageCount - page)
    let target = PageBuffer(pageCount: wanted)
    let keptCount = keep(from: page, in: target)
    let address = PageIndex(firstPage.rawValue + UInt64(page + keptCount))
    readPageCount += wanted - keptCount
    let aheadCount = wanted - keptCount
    if await device.read(aheadCount, pagesAt: address, into: target, bufferPage: keptCount) != nil {
      // One bad page must not hide its neighbours: fall back to what was asked for.
      if let error = await device.read(
        count - keptCount, pagesAt: address, into: target, bufferPage: keptCount)
      {
        failure = error
        return false
      }
      (start, end) = (page, page + count)
    } else {
      (start, end) = (page, page + wanted)
    }
    buffer = target
    return true
  }

  /// Copies the pages of the window from `page` on to the front of a new one; returns their count.
  private func keep(from page: Int, in target: PageBuffer) -> Int {
    guard let buffer, page >= start, page < end else { return 0 }
    let keptCount = end - page
    let first = (page - start) * Limits.pageByteCount
    let byteCount = keptCount * Limits.pageByteCount
    buffer.withBytes(first..<first + byteCount) { source in
      target.withMutableBytes(0..<byteCount) { $0.copy(source, to: 0) }
    }
    return keptCount
  }
}
