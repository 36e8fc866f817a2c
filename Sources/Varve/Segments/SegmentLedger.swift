// The books of an open store's segments: the durable table, and the lists that follow from it. One
// task keeps them, the maintenance task, so that nothing else needs to order writes of the table;
// what compaction and sealing change goes through here.

#if canImport(Glibc)
  import Glibc
#endif
import Synchronization
import VarveFormat
import VarveIO

/// What every segment is, durably, which ones are free, and in what order the others came.
///
/// SAFETY: `freeCount` is atomic; everything else that changes belongs to the maintenance task.
final class SegmentLedger: @unchecked Sendable {
  let device: any BlockDevice
  let log: LogAppender
  let segments: SegmentDirectory
  let counters: StoreCounters

  private(set) var table: SegmentTable
  /// Segments that may be put to use, the next one last.
  private(set) var free: [SegmentIndex]
  /// Segments to which a write has failed since the store was opened.
  private var failed: Set<SegmentIndex> = []
  /// Segments of the user stream in the order of the log, free ones excluded.
  private(set) var userOrder: [SegmentIndex]
  /// Segments of relocated records, free ones excluded.
  private(set) var relocated: [SegmentIndex]
  /// The sequence number at which each segment was begun, or was half full, as far as known.
  private(set) var beginSequences: [SegmentIndex: SequenceNumber]
  /// Segments sealed and freed since the store was opened.
  private(set) var turnoverCount = 0
  /// The table for everybody else.
  let published: PublishedTable
  /// What tells the device about freed segments; nil where nobody asked for it.
  let discards: SegmentDiscards?
  private let freeCount = Atomic<Int>(0)

  init(
    device: any BlockDevice, log: LogAppender, recovered: RecoveredStore,
    discards: SegmentDiscards?
  ) {
    self.discards = discards
    self.device = device
    self.log = log
    segments = log.segments
    counters = log.counters
    table = recovered.table
    userOrder = recovered.replay.order
    relocated = recovered.relocatedSegments
    beginSequences = recovered.beginSequences
    published = PublishedTable(table, order: userOrder)
    free = table.entries.filter { $0.entry.state == .free }.map(\.segment).reversed()
    publishFreeCount()
  }

  subscript(segment: SegmentIndex) -> SegmentEntry { table[segment] }

  /// Segments that nothing but room for tombstones, for what a failed write moves and for what
  /// compaction moves may take, in a store of so many.
  static func reserve(segmentCount: UInt32) -> Int { max(4, min(8, Int(segmentCount / 64))) }

  /// Segments that puts may not take.
  var reserve: Int { SegmentLedger.reserve(segmentCount: table.geometry.segmentCount) }

  /// Free segments beyond the reserve.
  var headroom: Int { free.count - reserve }

  /// Segments that hold nothing, for statistics.
  var freeSegmentCount: Int { freeCount.load(ordering: .relaxed) }

  private func publishFreeCount() { freeCount.store(free.count, ordering: .relaxed) }

  /// Sealed segments whose records may move or die.
  var sealed: some Sequence<SegmentIndex> {
    [userOrder, relocated].lazy.joined().filter { [table] in table[$0].state == .sealed }
  }

  /// Refuses to touch the metadata of a poisoned store.
  ///
  /// DURABILITY: no flush reaches the device any more. A second write of the table would go over
  /// the slot that is durable, while the first has never become so.
  func requireFlushes() throws(IOError) {
    guard log.isPoisoned else { return }
    throw IOError(operation: .flush, byteOffset: 0, byteCount: 0, errorNumber: EIO)
  }

  /// Changes entries of the table, durably.
  func update(_ changes: [(SegmentIndex, SegmentEntry)]) async throws(IOError) {
    guard !changes.isEmpty else { return }
    try requireFlushes()
    let byteCount = try await table.update(changes, on: device)
    published.publish(table, order: userOrder, log)
    counters.add(counters.metadataBytes, byteCount)
  }

  /// Takes a segment that nobody reads out of the free list. Where nothing is left but what is
  /// being discarded, it waits for that.
  func takeFree() async -> SegmentIndex? {
    if let segment = takeUnpinned() { return segment }
    // Also where it has ended by now.
    _ = await discards?.finish()
    return takeUnpinned()
  }

  /// Takes a segment that nobody reads out of the free list, if there is one.
  func takeUnpinned() -> SegmentIndex? {
    defer { publishFreeCount() }
    let position =
      free.lastIndex { isUsable($0) && !failed.contains($0) } ?? free.lastIndex { isUsable($0) }
    guard let position else { return nil }
    return free.remove(at: position)
  }

  /// Whether a free segment can be taken. One whose generations are used up (after 2^32 uses) is
  /// left alone.
  private func isUsable(_ segment: SegmentIndex) -> Bool {
    !segments.isPinned(segment) && table[segment].generation.rawValue < Limits.maximumGeneration
  }

  /// Whether there is a segment to take.
  var hasUsableFree: Bool { free.contains { isUsable($0) } }

  /// Notes a segment to which a write has failed: as long as there are others, it is not used again
  /// until the store is opened the next time.
  func noteFailure(of segment: SegmentIndex) { failed.insert(segment) }

  /// Opens free segments in the table under new generations.
  func open(
    _ taken: [SegmentIndex], stream: StreamKind
  ) async throws(IOError) -> [PreparedSegment] {
    try await turnOver(SegmentTurnover(opened: taken.map { ($0, stream) }))
  }

  /// Seals, frees and opens segments with one write of the table, and returns what was opened.
  ///
  /// DURABILITY: copies are all that is left of what lay in a segment that is freed. The same write
  /// says how far the copies have been flushed, so that a loss among them is never taken for the
  /// end of a compaction that a crash interrupted. The table says "free" durably before a segment
  /// can be put to use again. A generation is durable before a frame carries it, so that it is
  /// never used twice and leftovers of an earlier use never pass for frames.
  @discardableResult
  func turnOver(_ turnover: SegmentTurnover) async throws(IOError) -> [PreparedSegment] {
    var changes = turnover.sealed
    changes += turnover.freed.map { segment in
      (segment, SegmentEntry(state: .free, generation: table[segment].generation))
    }
    if !turnover.freed.isEmpty {
      for (segment, pageCount) in turnover.flushed {
        var entry = table[segment]
        entry.endPageCount = PageCount(UInt32(pageCount))
        changes.append((segment, entry))
      }
    }
    let opened = openEntries(turnover.opened)
    try await update(changes + opened)
    turnoverCount += turnover.sealed.count + turnover.freed.count
    for (segment, _) in turnover.sealed { noteAge(segment) }
    noteFreed(turnover.freed)
    return opened.map { segment, entry in
      if entry.stream == .user { userOrder.append(segment) }
      if entry.stream.isRelocation { relocated.append(segment) }
      segments.setGeneration(entry.generation, of: segment)
      beginSequences[segment] = log.lastSequence
      return PreparedSegment(segment: segment, generation: entry.generation, isReserve: false)
    }
  }

  /// The entries of segments that are opened under new generations: those of the user's log and of
  /// a checkpoint each name the one before.
  private func openEntries(
    _ opened: [(SegmentIndex, StreamKind)]
  ) -> [(SegmentIndex, SegmentEntry)] {
    var last: [StreamKind: SegmentIndex] = [.user: userOrder.last ?? .none]
    return opened.map { segment, stream in
      let predecessor = last[stream] ?? .none
      // Relocated records may be met in any order.
      if !stream.isRelocation { last[stream] = segment }
      let generation = Generation(table[segment].generation.rawValue + 1)
      return (
        segment,
        SegmentEntry(
          state: .open, stream: stream, generation: generation, predecessor: predecessor)
      )
    }
  }

  /// What is in a segment came between the time that it was opened and now.
  private func noteAge(_ segment: SegmentIndex) {
    guard let begun = beginSequences[segment]?.rawValue else { return }
    beginSequences[segment] = SequenceNumber(begun + (log.lastSequence.rawValue - begun) / 2)
  }

  /// Takes segments that the table calls free into the free list.
  func noteFreed(_ dead: [SegmentIndex]) {
    guard !dead.isEmpty else { return }
    forget(dead)
    // What was freed last is used last: wear is spread, and leftovers stay readable for long.
    free.insert(contentsOf: dead.reversed(), at: 0)
    publishFreeCount()
    discards?.add(dead)
    counters.add(counters.freedSegments, dead.count)
  }

  /// Goes on with the table of a larger store, whose new segments are free.
  func grow(to grown: SegmentTable) {
    let oldCount = table.geometry.segmentCount
    let count = grown.geometry.segmentCount
    table = grown
    // Before anybody can meet one of them in the table or the index.
    segments.grow(to: Int(count))
    published.publish(table, order: userOrder, log)
    // Those that have been there longer go first.
    free.insert(contentsOf: (oldCount..<count).reversed().map { SegmentIndex($0) }, at: 0)
    publishFreeCount()
  }

  /// Takes segments out of the order of their streams.
  func forget(_ gone: [SegmentIndex]) {
    let gone = Set(gone)
    userOrder.removeAll { gone.contains($0) }
    relocated.removeAll { gone.contains($0) }
    for segment in gone { beginSequences[segment] = nil }
  }

  /// Puts segments back that are free in the table and were never counted as used.
  func putBack(_ unused: [SegmentIndex]) {
    free.insert(contentsOf: unused, at: 0)
    publishFreeCount()
  }

  /// Sealed segments that hold nothing any more, neither a record nor a tombstone that is needed
  /// nor a read in flight.
  var dead: [SegmentIndex] {
    sealed.filter {
      segments.liveRecordCount(of: $0) == 0 && segments.liveTombstoneCount(of: $0) == 0
        && !segments.isPinned($0)
    }
  }
}

/// What one write of the table changes.
struct SegmentTurnover {
  var sealed: [(SegmentIndex, SegmentEntry)] = []
  var freed: [SegmentIndex] = []
  /// How far open segments of relocated records have been flushed.
  var flushed: [(segment: SegmentIndex, pageCount: Int)] = []
  /// Free segments to open, and their streams.
  var opened: [(SegmentIndex, StreamKind)] = []
}
