// Reads the frames of one segment, one after the other, and says where the chain ends. What an end
// means (a torn tail, the clean end, damage) is judged by `UserLogRecovery`, which sees all
// segments.

import VarveFormat
import VarveIO

/// A frame as found on the device.
struct ScannedFrame {
  var header: FrameHeader
  var checksum: UInt32
  /// The first page, counted from the segment's first.
  var page: Int
  var records: [SummaryEntry]
}

/// What lies behind the end of the chain: legal leftovers of reordering, or witnesses of damage.
struct ScanLeftovers {
  var frames: [ScannedFrame] = []
  /// The highest watermark in them.
  var durableWatermark = SequenceNumber.zero
  /// Pages that were written for this use of the segment and do not verify.
  var damagedPageCount = 0

  var recordCount: Int { frames.reduce(0) { $0 + Int($1.header.recordCount) } }
  var pageCount: Int { frames.reduce(0) { $0 + Int($1.header.pageCount.rawValue) } }
}

/// What a scan found in a segment.
struct SegmentScan {
  var segment: SegmentIndex
  var generation: Generation
  /// nil where the header page is not valid.
  var header: SegmentHeader?
  var headerChecksum: UInt32 = 0
  /// The records of the chain, where they were kept.
  var records: [SummaryEntry] = []
  /// How many records the chain has.
  var recordCount = 0
  /// Whether the records were kept, here and in the leftovers.
  var keepsRecords = true
  /// Where the chain ends, in pages from the segment's first.
  var endPage = 1
  var nextOrdinal: UInt32 = 0
  var lastFramePage = 0
  var lastFrameChecksum: UInt32 = 0
  var lastSequence = SequenceNumber.zero
  var durableWatermark = SequenceNumber.zero
  var clockMilliseconds: UInt64 = 0
  var leftovers = ScanLeftovers()
  var readFailure: IOError?
  var readPageCount = 0

  var hasFrames: Bool { nextOrdinal > 0 }

  /// The records in the form in which an open segment needs them, a third as large.
  private(set) var summary = SummaryBuilder()

  /// The same without the records: they are in the summary.
  func summarized() -> SegmentScan {
    var scan = self
    for record in records { scan.summary.append(record) }
    scan.records = []
    scan.leftovers.frames = []
    return scan
  }
}

/// Scans segments.
struct FrameScanner {
  let device: any BlockDevice
  let geometry: Geometry
  let uuid: StoreUUID
  let checksum: Checksum
  let hashKey: HashKey
  let cut: LogCut?

  /// Pages read by one request.
  static let windowPageCount = 256

  /// Follows the chain of frames from the segment header, and looks behind its end for what is
  /// left. `endPage` is where a sealed segment's frames end; nil looks as far as frames may lie.
  func scan(
    _ segment: SegmentIndex, generation: Generation, endPage: Int?, keepsRecords: Bool = true
  ) async -> SegmentScan {
    var scan = SegmentScan(segment: segment, generation: generation)
    scan.keepsRecords = keepsRecords
    let limit = endPage ?? Int(geometry.framePageLimit(summaryPages: PageCount(1)).rawValue)
    var window = SegmentWindow(
      device: device, firstPage: geometry.firstPage(of: segment),
      pageCount: Int(geometry.segmentPageCount.rawValue))
    readHeader(await window.load(0, 1), of: segment, generation: generation, into: &scan)
    if scan.header != nil {
      var chain = scan.headerChecksum
      while scan.endPage < limit,
        let frame = await frame(
          at: scan.endPage, of: segment, generation: generation, limit: limit, &window),
        continues(frame, scan, chain: chain)
      {
        accept(frame, into: &scan)
        chain = frame.checksum
      }
    }
    await findLeftovers(&scan, limit: limit, &window)
    scan.readFailure = window.failure
    scan.readPageCount = window.readPageCount
    return scan
  }

  private func readHeader(
    _ page: RawPages?, of segment: SegmentIndex, generation: Generation,
    into scan: inout SegmentScan
  ) {
    guard let page else { return }
    page.withBytes { bytes in
      guard
        let header = try? PageHeader.verify(
          bytes, at: geometry.firstPage(of: segment), generation: generation, uuid: uuid,
          checksum: checksum), header.kind == .segmentHeader, header.segment == segment,
        let body = try? SegmentHeader(decoding: bytes)
      else { return }
      scan.header = body
      scan.headerChecksum = PageHeader.checksumField(of: bytes)
      scan.lastFrameChecksum = scan.headerChecksum
      scan.durableWatermark = body.durableWatermark
      scan.clockMilliseconds = body.clockMilliseconds
    }
  }

  /// Whether a valid frame is the next of the chain and not a leftover of an earlier open.
  private func continues(_ frame: ScannedFrame, _ scan: SegmentScan, chain: UInt32) -> Bool {
    guard frame.header.ordinal == scan.nextOrdinal, frame.header.previousChecksum == chain,
      frame.header.stream == scan.header?.stream,
      // Relocated records come in any order.
      frame.header.stream != .user || frame.header.recordCount == 0
        || frame.header.firstSequence > scan.lastSequence
    else { return false }
    // DURABILITY: behind a cut only frames of later opens count; what an earlier recovery dropped
    // never comes back.
    if let cut, cut.segment == scan.segment, cut.generation == scan.generation,
      frame.page >= Int(cut.pageCount.rawValue), frame.header.openEpoch < cut.openEpoch
    {
      return false
    }
    return true
  }

  private func accept(_ frame: ScannedFrame, into scan: inout SegmentScan) {
    if scan.keepsRecords { scan.records.append(contentsOf: frame.records) }
    scan.recordCount += frame.records.count
    scan.endPage = frame.page + Int(frame.header.pageCount.rawValue)
    scan.nextOrdinal += 1
    scan.lastFramePage = frame.page
    scan.lastFrameChecksum = frame.checksum
    scan.lastSequence = max(scan.lastSequence, frame.header.lastSequence)
    scan.durableWatermark = max(scan.durableWatermark, frame.header.durableWatermark)
    scan.clockMilliseconds = max(scan.clockMilliseconds, frame.header.clockMilliseconds)
  }

  /// Looks behind the end of the chain for frames that are whole.
  private func findLeftovers(
    _ scan: inout SegmentScan, limit: Int, _ window: inout SegmentWindow
  ) async {
    var page = scan.endPage
    while page < limit {
      if let frame = await frame(
        at: page, of: scan.segment, generation: scan.generation, limit: limit, &window)
      {
        let isVoid = isBehindCut(frame, scan)
        if !isVoid, frame.header.firstSequence > scan.lastSequence || frame.records.isEmpty {
          var leftover = frame
          if !scan.keepsRecords { leftover.records = [] }
          scan.leftovers.frames.append(leftover)
          scan.leftovers.durableWatermark = max(
            scan.leftovers.durableWatermark, frame.header.durableWatermark)
        }
        page += Int(frame.header.pageCount.rawValue)
        continue
      }
      if let pages = await window.load(page, 1),
        pages.withBytes({ bytes in
          // A summary that was being written when the store stopped is no damage.
          (try? PageHeader.peek(bytes, uuid: uuid)).map {
            $0.generation == scan.generation && $0.kind != .summary
          } ?? false
        })
      {
        scan.leftovers.damagedPageCount += 1
      }
      page += 1
    }
  }

  private func isBehindCut(_ frame: ScannedFrame, _ scan: SegmentScan) -> Bool {
    guard let cut, cut.segment == scan.segment, cut.generation == scan.generation else {
      return false
    }
    return frame.page >= Int(cut.pageCount.rawValue) && frame.header.openEpoch < cut.openEpoch
  }

  /// The frame that begins at `page`, if it is whole.
  private func frame(
    at page: Int, of segment: SegmentIndex, generation: Generation, limit: Int,
    _ window: inout SegmentWindow
  ) async -> ScannedFrame? {
    let address = PageIndex(geometry.firstPage(of: segment).rawValue + UInt64(page))
    guard let first = await window.load(page, 1) else { return nil }
    let extentPages = first.withBytes { bytes -> Int? in
      guard let header = try? PageHeader.peek(bytes, uuid: uuid), header.kind == .frameStart,
        header.page == address, header.generation == generation
      else { return nil }
      return Int(header.extentPageCount.rawValue)
    }
    guard let extentPages, extentPages >= 1, page + extentPages <= limit,
      let firstExtent = await window.load(page, extentPages)
    else { return nil }
    let header = firstExtent.withBytes { bytes -> FrameHeader? in
      guard
        (try? PageHeader.verify(
          bytes, at: address, generation: generation, uuid: uuid, checksum: checksum)) != nil
      else { return nil }
      return try? FrameHeader(decoding: bytes)
    }
    guard let header, Int(header.pageCount.rawValue) >= extentPages,
      page + Int(header.pageCount.rawValue) <= limit,
      let pages = await window.load(page, Int(header.pageCount.rawValue))
    else { return nil }
    return pages.withBytes { bytes in
      decode(bytes, header: header, page: page, address: address, generation: generation)
    }
  }

  /// Verifies every extent of a frame and reads its records.
  private func decode(
    _ bytes: RawSpan, header: FrameHeader, page: Int, address: PageIndex, generation: Generation
  ) -> ScannedFrame? {
    var records: [SummaryEntry] = []
    records.reserveCapacity(min(Int(header.recordCount), bytes.byteCount / 32))
    var extentPage = 0
    var extentsChecksum: UInt32 = 0
    let pageCount = Int(header.pageCount.rawValue)
    while extentPage < pageCount {
      let extent = bytes.extracting(extentPage * Limits.pageByteCount..<bytes.byteCount)
      let location = PageIndex(address.rawValue + UInt64(extentPage))
      guard
        let extentHeader = try? PageHeader.verify(
          extent, at: location, generation: generation, uuid: uuid, checksum: checksum),
        extentHeader.kind == (extentPage == 0 ? .frameStart : .frameContinuation)
      else { return nil }
      if extentPage > 0 {
        extentsChecksum = Checksum.word(
          UInt64(PageHeader.checksumField(of: extent)), seed: extentsChecksum)
      }
      guard
        readRecords(of: extent, header: extentHeader, at: location, into: &records)
      else { return nil }
      extentPage += Int(extentHeader.extentPageCount.rawValue)
    }
    guard extentPage == pageCount, extentsChecksum == header.extentsChecksum,
      records.count == Int(header.recordCount)
    else { return nil }
    return ScannedFrame(
      header: header, checksum: PageHeader.checksumField(of: bytes), page: page,
      records: records)
  }

  private func readRecords(
    of extent: RawSpan, header: PageHeader, at page: PageIndex,
    into records: inout [SummaryEntry]
  ) -> Bool {
    let bytes = extent.extracting(0..<header.extentPageCount.byteCount)
    var cursor = RecordCursor(
      payloadByteOffset: FrameHeader.payloadByteOffset(in: header.kind),
      recordCount: Int(header.recordCount))
    do throws(FormatError) {
      while let found = try cursor.next(in: bytes) {
        records.append(
          found.summaryEntry(
            in: bytes, page: page, pageCount: header.extentPageCount, hashKey: hashKey))
      }
      return true
    } catch {
      return false
    }
  }
}
