import Synchronization
import VarveFormat
import VarveIO

/// A step of a victim on its way from the device.
struct RelocationRead {
  let victim: SegmentIndex
  /// What has been read; nil where a summary that the victim should have is damaged.
  let step: BackgroundStep<RelocationBatch?>
  /// Where the next step goes on, which is known long before this one has been read.
  let end = RelocationEnd()
  /// Whether the next step has learned where to go on.
  var isFollowed = false

  /// Begins to read the next live records of a victim, with some `byteLimit` bytes.
  init(
    _ relocation: Relocation, reader: SegmentReader, byteLimit: Int, index: RecordIndex,
    buffers: BufferPool, on thread: WorkerThread, wake signal: Signal
  ) {
    victim = relocation.victim
    step = BackgroundStep(on: thread, wake: signal) { [end] in
      await RelocationRead.read(
        relocation, reader, byteLimit: byteLimit, index, buffers,
        noteEnd: {
          end.set($0)
          signal.raise()
        })
    }
  }

  private static func read(
    _ relocation: Relocation, _ reader: SegmentReader, byteLimit: Int, _ index: RecordIndex,
    _ buffers: BufferPool, noteEnd: (RelocationEnd.State) -> Void
  ) async -> RelocationBatch? {
    var current = relocation
    let pageCountBefore = current.pageCountDone
    guard await reader.readAhead(&current) else {
      noteEnd(.known(nil, readByteCount: 0))
      return nil
    }
    let records = current.takeLive(
      byteLimit: byteLimit, firstPage: reader.geometry.firstPage(of: current.victim),
      isLive: index.names)
    let isLast = current.isDone
    if isLast { current.pageCountDone = Int(reader.geometry.segmentPageCount.rawValue) }
    var batch = RelocationBatch(
      records: records, geometry: reader.geometry, current,
      pageCountDone: current.pageCountDone - pageCountBefore, isLast: isLast, buffers: buffers)
    noteEnd(.known(isLast ? nil : current, readByteCount: batch.buffer.byteCount))
    await batch.read(from: reader.device)
    return batch
  }
}

/// Where a step ends in its victim, once that is known.
final class RelocationEnd: Sendable {
  enum State {
    case unknown
    /// Where to go on, which is taken once; nil where the victim is done.
    case known(Relocation?, readByteCount: Int)
  }

  private let state = Mutex(State.unknown)

  func set(_ known: State) { state.withLock { $0 = known } }

  /// Takes where to go on: nil where the victim is done.
  ///
  /// - Returns: nil while nobody knows.
  func take() -> (rest: Relocation?, readByteCount: Int)? {
    state.withLock { state in
      guard case .known(let rest, let byteCount) = state else { return nil }
      state = .known(nil, readByteCount: byteCount)
      return (rest, byteCount)
    }
  }

  /// The bytes that the step reads, once they are known.
  var readByteCount: Int? {
    state.withLock { state in
      guard case .known(_, let byteCount) = state else { return nil }
      return byteCount
    }
  }
}

extension SegmentReader {
  /// Loads the next records of a victim where all that were loaded have been looked at; false where
  /// they are damaged.
  fileprivate func readAhead(_ current: inout Relocation) async -> Bool {
    if !current.hasBegun {
      current.hasBegun = true
      if current.entry.hasSummary {
        current.facts = await facts(of: current.victim, entry: current.entry)
      }
      if current.facts == nil {
        guard let records = await records(of: current.victim, entry: current.entry) else {
          return false
        }
        current.pending = records
      }
    }
    guard current.position == current.pending.count, let facts = current.facts else { return true }
    current.pending.removeAll(keepingCapacity: true)
    current.position = 0
    let end = min(
      Int(facts.summaryPageCount.rawValue),
      current.nextSummaryPage + Relocation.summaryWindowPageCount)
    guard current.nextSummaryPage < end else { return true }
    let pages = current.nextSummaryPage..<end
    current.nextSummaryPage = end
    if await readSummary(
      facts, pages: pages, of: current.victim, entry: current.entry, into: &current.pending)
    {
      return true
    }
    // Both copies of a page are damaged; the frames have everything, also what has been moved by
    // now and is not live here any more.
    guard let records = await records(of: current.victim, entry: current.entry) else {
      return false
    }
    current.facts = nil
    current.pending = records
    return true
  }
}

extension RecordIndex {
  /// Whether the index still names a record of a summary.
  func names(_ record: SummaryEntry) -> Bool {
    let current = RecordLocation(rawValue: find(record.hash))
    return current == record.location
      || PlantedBug.pageForRecord.isPlanted && current.page == record.location.page
  }
}
