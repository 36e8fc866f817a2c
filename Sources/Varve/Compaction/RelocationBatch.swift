import VarveFormat
import VarveIO

/// Records of one victim on their way: read, verified and copied together.
struct RelocationBatch: Sendable {
  let victim: SegmentIndex
  /// Where the records go.
  let stream: StreamKind
  /// The share of a segment that the victim gives back.
  let yield: Double
  /// Whether they are the last of the victim.
  let isLast: Bool
  /// Pages of the victim that are done with them.
  private var pageCountDone: Int
  private let records: [SummaryEntry]
  private let generation: Generation
  /// The runs of pages that hold the records, and where each begins in the buffer.
  private var runs: [(run: PageRun, bufferPage: Int)] = []
  /// Holds all of them, one after the other.
  let buffer: PageBuffer
  private var unreadable: Set<PageRun> = []
  private var position = 0
  /// The extent that was verified last.
  private var verified: (page: PageIndex, pageCount: Int)?
  /// What has been copied.
  private var moves: [Move] = []
  /// Whether a record could not be read or did not verify.
  private(set) var hasDamage = false

  init(
    records: [SummaryEntry], geometry: Geometry, _ relocation: Relocation, pageCountDone: Int,
    isLast: Bool, buffers: BufferPool
  ) {
    victim = relocation.victim
    stream = relocation.stream
    yield = relocation.yield
    self.isLast = isLast
    self.pageCountDone = pageCountDone
    self.records = records
    generation = relocation.entry.generation
    let end =
      geometry.firstPage(of: relocation.victim).rawValue
      + UInt64(relocation.entry.endPageCount.rawValue)
    var pageCount = 0
    for run in PageRun.covering(records, before: PageIndex(end)) {
      runs.append((run, pageCount))
      pageCount += run.pageCount
    }
    buffer = buffers.take(byteCount: max(1, pageCount) * Limits.pageByteCount)
  }

  /// Whether something has been copied since.
  var hasMoves: Bool { !moves.isEmpty }

  /// What has been copied since it was last asked.
  mutating func takeMoves() -> [Move] {
    defer { moves = [] }
    return moves
  }

  /// Bytes that were read.
  var readByteCount: Int { runs.reduce(0) { $0 + $1.run.pageCount } * Limits.pageByteCount }

  /// Pages of the victim that are done with them, for whoever asks first.
  mutating func takePageCountDone() -> Int {
    defer { pageCountDone = 0 }
    return pageCountDone
  }

  /// Requests in flight at most.
  static let concurrentReadCount = 32

  /// Reads all pages.
  mutating func read(from device: any BlockDevice) async {
    let (runs, buffer) = (runs, buffer)
    unreadable = await withTaskGroup(of: PageRun?.self) { group in
      var failed: Set<PageRun> = []
      for (position, item) in runs.enumerated() {
        if position >= RelocationBatch.concurrentReadCount, let run = await group.next() ?? nil {
          failed.insert(run)
        }
        group.addTask {
          let failure = await device.read(
            item.run.pageCount, pagesAt: item.run.page, into: buffer, bufferPage: item.bufferPage)
          return failure == nil ? nil : item.run
        }
      }
      for await run in group { if let run { failed.insert(run) } }
      return failed
    }
  }

  /// Copies records into frames until all are; false where the output needs a fresh segment first.
  mutating func copy(
    into output: inout RelocationOutput, _ seal: SealContext, hashKey: HashKey,
    _ clock: StoreClock, buffers: BufferPool, isLive: (SummaryEntry) -> Bool
  ) -> Bool {
    var runIndex = 0
    while position < records.count {
      let record = records[position]
      // DURABILITY: asked again at the moment of copying. A record that has been deleted since it
      // was read must not be copied behind the back of a sweep, which may find its tombstone
      // unneeded.
      guard isLive(record) || PlantedBug.copiesUnasked.isPlanted else {
        position += 1
        continue
      }
      while runIndex < runs.count, !contains(runs[runIndex].run, record.location.page) {
        runIndex += 1
      }
      guard runIndex < runs.count else {
        hasDamage = true
        position += 1
        runIndex = 0
        continue
      }
      let (run, bufferPage) = runs[runIndex]
      let page = bufferPage + Int(record.location.page.rawValue - run.page.rawValue)
      let end = (bufferPage + run.pageCount) * Limits.pageByteCount
      let outcome = buffer.withBytes(page * Limits.pageByteCount..<end) { bytes in
        unreadable.contains(run)
          ? .damaged : copy(record, in: bytes, into: &output, seal, hashKey, clock, buffers)
      }
      switch outcome {
      case .copied(let location):
        moves.append(Move(hash: record.hash, old: record.location, new: location))
      case .damaged: hasDamage = true
      case .needsSegment: return false
      }
      position += 1
    }
    return true
  }

  private enum Outcome {
    case copied(RecordLocation)
    case damaged
    case needsSegment
  }

  /// Copies a record whose extent begins at the start of `bytes`.
  private mutating func copy(
    _ record: SummaryEntry, in bytes: RawSpan, into output: inout RelocationOutput,
    _ seal: SealContext, _ hashKey: HashKey, _ clock: StoreClock, _ buffers: BufferPool
  ) -> Outcome {
    guard let pageCount = verify(bytes, at: record.location.page, seal) else { return .damaged }
    let extent = bytes.extracting(0..<pageCount * Limits.pageByteCount)
    let offset = Int(record.location.slot) * RecordHeader.alignment
    guard let header = try? RecordHeader(decoding: extent, at: offset),
      header.sequence == record.sequence
    else { return .damaged }
    let key = extent.extracting(header.keyRange(at: offset))
    guard KeyHash(of: key, keyedBy: hashKey) == record.hash else { return .damaged }
    var copy = header
    // Its batch was whole when it was written; from now on it stands alone.
    copy.batchRecordCount = 0
    copy.batchOrdinal = 0
    var value = extent.extracting(header.valueRange(at: offset))
    // What has expired, durably, is a tombstone from here on, and dies like one.
    if header.expiryMilliseconds > 0, clock.verdict(header.expiryMilliseconds) == .expired {
      copy = RecordHeader(
        sequence: header.sequence, kind: .tombstone, keyByteCount: header.keyByteCount,
        storedByteCount: 0, valueByteCount: 0, keyspace: header.keyspace)
      value = RawSpan()
    }
    let location = output.append(
      copy, key: key, storedValue: value, hash: record.hash, seal, buffers)
    return location.map { .copied($0) } ?? .needsSegment
  }

  private func contains(_ run: PageRun, _ page: PageIndex) -> Bool {
    page >= run.page && page.rawValue < run.page.rawValue + UInt64(run.pageCount)
  }

  /// The pages of the extent at the start of `bytes`, if its checksum is right. Those of one extent
  /// come one after the other, so it is computed once.
  private mutating func verify(_ bytes: RawSpan, at page: PageIndex, _ seal: SealContext) -> Int? {
    if let verified, verified.page == page { return verified.pageCount }
    verified = nil
    guard
      let header = try? PageHeader.verify(
        bytes, at: page, generation: generation, uuid: seal.uuid,
        checksum: Checksum(uuid: seal.uuid)),
      header.kind == .frameStart || header.kind == .frameContinuation
    else { return nil }
    let pageCount = Int(header.extentPageCount.rawValue)
    verified = (page, pageCount)
    return pageCount
  }
}
