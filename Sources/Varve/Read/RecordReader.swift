// From a location to a verified record: pins, reads in flight, verifying and decoding. The journey
// is in `StoreCore+Read`, which submits the read that comes from here: pin the segment → ask the
// index again → memory → device → verify → decode.
//
// Invariant: a segment is pinned from before the index is asked a second time until the pages are
// in memory, so what is read is what the index named.

import Synchronization
import VarveFormat
import VarveIO

/// Reads records from the device.
final class RecordReader: Sendable {
  let device: any BlockDevice
  /// Of the store at its largest: it may grow while it is open.
  let geometry: Geometry
  let uuid: StoreUUID
  let checksum: Checksum
  let segments: SegmentDirectory
  let counters: StoreCounters
  let memory: ReadMemory
  private let noteDeadSegment: @Sendable () -> Void
  private let inFlight: Mutex<[UInt64: RecordRead]> = Mutex([:])

  init(
    device: any BlockDevice, superblock: Superblock, segments: SegmentDirectory,
    counters: StoreCounters, memory: ReadMemory,
    noteDeadSegment: @escaping @Sendable () -> Void
  ) {
    self.device = device
    geometry = superblock.geometry.largest
    uuid = superblock.uuid
    checksum = Checksum(uuid: superblock.uuid)
    self.segments = segments
    self.counters = counters
    self.memory = memory
    self.noteDeadSegment = noteDeadSegment
  }

  /// What became of a wish to read.
  enum Admission {
    /// A new read, which the caller submits.
    case submit(RecordRead)
    /// A read that is in flight for somebody else, too.
    case join(RecordRead)
    /// The record has moved meanwhile.
    case moved
    /// All memory for reads is in use: wait for so many pages.
    case noRoom(pageCount: Int)
  }

  /// The read for a location. `isStillCurrent` asks the index once the segment is pinned.
  func read(
    at location: RecordLocation, _ turn: ReadMemory.Turn?, isStillCurrent: () -> Bool
  ) -> Admission {
    guard let segment = geometry.segment(containing: location.page) else { return .moved }
    segments.pin(segment)
    guard isStillCurrent() else {
      unpin(segment)
      return .moved
    }
    let shared: RecordRead? = inFlight.withLock { $0[location.rawValue] }
    if let shared { return share(shared, segment) }
    let segmentEnd =
      geometry.firstPage(of: segment).rawValue + UInt64(geometry.segmentPageCount.rawValue)
    let pageCount = min(
      Int(location.pageCountToRead.rawValue), Int(segmentEnd - location.page.rawValue))
    guard let buffer = memory.take(pageCount: pageCount, turn: turn) else {
      unpin(segment)
      return .noRoom(pageCount: pageCount)
    }
    let read = RecordRead(
      location: location, segment: segment, generation: segments.generation(of: segment),
      buffer: buffer, reader: self)
    let winner: RecordRead = inFlight.withLock { table in
      if let other = table[location.rawValue] { return other }
      table[location.rawValue] = read
      return read
    }
    guard winner === read else { return share(winner, segment) }
    counters.add(counters.deviceReads)
    return .submit(read)
  }

  private func share(_ read: RecordRead, _ segment: SegmentIndex) -> Admission {
    unpin(segment)
    counters.add(counters.sharedReads)
    return .join(read)
  }

  /// The pages of a read are in memory, or never will be.
  func release(_ read: RecordRead) {
    inFlight.withLock { _ = $0.removeValue(forKey: read.location.rawValue) }
    unpin(read.segment)
  }

  private func unpin(_ segment: SegmentIndex) {
    segments.unpin(segment)
    // A segment that died while it was read waits for this.
    if segments.liveRecordCount(of: segment) == 0, !segments.isPinned(segment) {
      noteDeadSegment()
    }
  }

  /// Verifies the extent at the start of `bytes` and decodes the record that a location names.
  func decode(
    _ bytes: RawSpan, at location: RecordLocation, generation: Generation
  ) throws(FormatError) -> CachedRecord {
    let header = try PageHeader.verify(
      bytes, at: location.page, generation: generation, uuid: uuid, checksum: checksum)
    guard header.kind == .frameStart || header.kind == .frameContinuation else {
      throw .notThisStructure
    }
    return try RecordReader.decodeRecord(
      bytes.extracting(0..<header.extentPageCount.byteCount), slot: location.slot)
  }

  /// Decodes the record at a slot of an extent, expanding its value.
  static func decodeRecord(
    _ extent: RawSpan, slot: UInt8
  ) throws(FormatError) -> CachedRecord {
    let byteOffset = Int(slot) * RecordHeader.alignment
    let header = try RecordHeader(decoding: extent, at: byteOffset)
    let key = extent.extracting(header.keyRange(at: byteOffset))
    let stored = extent.extracting(header.valueRange(at: byteOffset))
    guard header.isCompressed else {
      return CachedRecord(
        key: key, value: stored, sequence: header.sequence.rawValue,
        expiry: header.expiryMilliseconds)
    }
    let scratch = try ValueCodec.decompressed(stored, byteCount: header.valueByteCount)
    // SAFETY: the bytes of an array of bytes have no padding.
    return CachedRecord(
      key: key, value: unsafe scratch.span.bytes, sequence: header.sequence.rawValue,
      expiry: header.expiryMilliseconds)
  }
}
