import VarveFormat
import VarveIO

/// Writes the pages of one checkpoint, one behind the other through its segments.
final class CheckpointWriter {
  private let device: any BlockDevice
  private let superblock: Superblock
  private let checksum: Checksum
  private let position: CheckpointPosition
  let segments: [PreparedSegment]
  private let identifier: UInt64
  private let buffer = PageBuffer(pageCount: CheckpointWriter.bufferPageCount)
  private var bufferedCount = 0
  private var segmentCursor = 0
  /// The next page in the segment; 0 is its header.
  private var pageCursor = 0
  private var ordinal: UInt64 = 0
  private var pagesChecksum: UInt32 = 0
  private(set) var entryCount = 0
  private(set) var pagesWritten = 0
  private(set) var reference: CheckpointReference?
  private var selectorBitCount: UInt8 = 0
  private var failure: IOError?

  /// Pages written by one request.
  static let bufferPageCount = 64

  init(
    device: any BlockDevice, superblock: Superblock, position: CheckpointPosition,
    segments: [PreparedSegment], identifier: UInt64
  ) {
    self.device = device
    self.superblock = superblock
    checksum = Checksum(uuid: superblock.uuid)
    self.position = position
    self.segments = segments
    self.identifier = identifier
  }

  /// Pages that a checkpoint takes at most, with room for keys that are added meanwhile.
  static func pageBound(entryCount: Int, segmentCount: Int) -> Int {
    let entries = entryCount + entryCount / 16 + 1024
    return entries / CheckpointPage.entriesPerPage + 1
      + segmentCount / CheckpointPage.generationsPerPage + 1 + 1
  }

  /// Writes entries and generations, and calls `meanwhile` between the shards: a large checkpoint
  /// takes seconds, for which writers must not wait.
  ///
  /// - Returns: false where the space ran out, the device failed or `meanwhile` says so.
  /// - Throws: what `meanwhile` throws.
  func write(
    index: RecordIndex, generations: [Generation],
    meanwhile: () async throws(IOError) -> Bool
  ) async throws(IOError) -> Bool {
    selectorBitCount = UInt8(index.shardCount.trailingZeroBitCount)
    var pending: [CheckpointEntry] = []
    var shard: [IndexEntry] = []
    for shardIndex in 0..<index.shardCount {
      shard.removeAll(keepingCapacity: true)
      index.snapshot(ofShard: shardIndex, into: &shard)
      let selector =
        selectorBitCount == 0 ? 0 : UInt32(shardIndex) << UInt32(24 - selectorBitCount)
      for entry in shard {
        pending.append(
          CheckpointEntry(
            hash: KeyHash(fingerprint: entry.fingerprint, selector: selector),
            location: RecordLocation(rawValue: entry.locationWord)))
      }
      entryCount += shard.count
      var taken = 0
      while pending.count - taken >= CheckpointPage.entriesPerPage {
        let slice = pending[taken...].prefix(CheckpointPage.entriesPerPage)
        guard
          await add({ page, ordinal in
            CheckpointPage.encode(slice, into: &page, identifier: self.identifier, ordinal: ordinal)
          })
        else { return false }
        taken += slice.count
      }
      pending.removeFirst(taken)
      guard try await meanwhile() else { return false }
    }
    if !pending.isEmpty {
      guard
        await add({ page, ordinal in
          CheckpointPage.encode(
            pending[...], into: &page, identifier: self.identifier, ordinal: ordinal)
        })
      else { return false }
    }
    var start = 0
    while start < generations.count {
      let slice = generations[start...].prefix(CheckpointPage.generationsPerPage)
      guard
        await add({ page, ordinal in
          CheckpointPage.encode(slice, into: &page, identifier: self.identifier, ordinal: ordinal)
        })
      else { return false }
      start += slice.count
    }
    // The root must fit too; its page is written by `writeRoot`.
    if pageCursor == Int(superblock.geometry.segmentPageCount.rawValue),
      segmentCursor + 1 == segments.count
    {
      return false
    }
    return await writeBuffer()
  }

  /// Writes the root and flushes.
  func writeRoot() async throws(IOError) {
    let root = CheckpointRoot(
      identifier: identifier, cutSequence: position.cutSequence,
      replaySegment: position.segment, replayGeneration: position.generation,
      replayPageCount: position.pageCount, entryCount: UInt64(entryCount), pageCount: ordinal,
      selectorBitCount: selectorBitCount, pagesChecksum: pagesChecksum,
      segmentCount: UInt32(segmentCursor + 1))
    _ = await add { page, _ in CheckpointPage.encode(root, into: &page) }
    let segment = segments[segmentCursor]
    reference = CheckpointReference(
      identifier: identifier,
      rootPage: PageIndex(
        superblock.geometry.firstPage(of: segment.segment).rawValue + UInt64(pageCursor - 1)),
      rootGeneration: segment.generation)
    guard await writeBuffer() else {
      throw failure
        ?? IOError(operation: .write, byteOffset: 0, byteCount: 0, errorNumber: 5)
    }
    if let error = await device.flush() { throw error }
  }

  private func add(
    _ encode: (inout MutableRawSpan, _ ordinal: UInt64) -> Void
  ) async -> Bool {
    let geometry = superblock.geometry
    if pageCursor == Int(geometry.segmentPageCount.rawValue) {
      guard await writeBuffer(), segmentCursor + 1 < segments.count else { return false }
      segmentCursor += 1
      pageCursor = 0
    }
    if pageCursor == 0 { guard await addHeader() else { return false } }
    if bufferedCount == CheckpointWriter.bufferPageCount {
      guard await writeBuffer() else { return false }
    }
    let ordinal = ordinal
    let value = sealNext(kind: .checkpoint) { encode(&$0, ordinal) }
    pagesChecksum = Checksum.word(UInt64(value), seed: pagesChecksum)
    self.ordinal += 1
    return true
  }

  private func addHeader() async -> Bool {
    let header = SegmentHeader(
      stream: .checkpoint,
      predecessor: segmentCursor > 0 ? segments[segmentCursor - 1].segment : .none,
      predecessorGeneration: segmentCursor > 0
        ? segments[segmentCursor - 1].generation : Generation(0),
      predecessorEndPageCount: PageCount(0), predecessorFrameChecksum: 0,
      firstSequence: position.cutSequence, durableWatermark: .zero,
      clockMilliseconds: superblock.clockMilliseconds,
      openEpoch: UInt32(truncatingIfNeeded: superblock.openCount))
    _ = sealNext(kind: .segmentHeader) { page in
      page.zero(0..<page.byteCount)
      header.encode(into: &page)
    }
    return true
  }

  private func sealNext(
    kind: PageKind, _ encode: (inout MutableRawSpan) -> Void
  ) -> UInt32 {
    let segment = segments[segmentCursor]
    let page = PageIndex(
      superblock.geometry.firstPage(of: segment.segment).rawValue + UInt64(pageCursor))
    defer {
      bufferedCount += 1
      pageCursor += 1
    }
    return buffer.withMutablePage(bufferedCount) { bytes in
      encode(&bytes)
      return PageHeader(
        kind: kind, generation: segment.generation, page: page, segment: segment.segment
      ).seal(&bytes, uuid: superblock.uuid, checksum: checksum)
    }
  }

  private func writeBuffer() async -> Bool {
    guard bufferedCount > 0 else { return true }
    let segment = segments[segmentCursor]
    let first = PageIndex(
      superblock.geometry.firstPage(of: segment.segment).rawValue
        + UInt64(pageCursor - bufferedCount))
    failure = await device.write(bufferedCount, pagesAt: first, from: buffer)
    pagesWritten += bufferedCount
    bufferedCount = 0
    return failure == nil
  }
}
