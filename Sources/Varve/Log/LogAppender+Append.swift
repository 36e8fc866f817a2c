import Synchronization
import VarveFormat

/// One record, ready to be appended: hashed and compressed, without a sequence number.
struct PreparedRecord {
  var hash: KeyHash
  var header: RecordHeader
  /// Whether its writer has waited for compaction: then it goes ahead of those who have not, or a
  /// writer among many could wait for ever.
  var hasWaited = false

  var isDelete: Bool { header.kind == .tombstone }
}

/// Where a record was when a condition was checked. A location alone may come to name another
/// record once its segment is used again; with the generation it names one record for ever.
struct RecordPlace: Hashable {
  var location: RecordLocation
  /// The generation of its segment; zero where there is no record.
  var generation: Generation
}

/// What a conditional write has read and relies on.
struct ExpectedRecord {
  var place: RecordPlace
  /// Until when the record has a value; 0 where that does not matter: it has none, or no expiry.
  var liveUntilMilliseconds: UInt64
}

/// What became of an attempt to append.
enum AppendResult {
  /// In the frame, with this (last) sequence number.
  case appended(frame: LogFrame, sequence: SequenceNumber)
  /// There was nothing to delete: the frame that holds the key's tombstone, if it is not durable.
  case nothingToDelete(frame: LogFrame?)
  /// Wait with `waitForSpace` and try again.
  case mustWait(WaitReason)
  /// The current record changed since it was read: read again.
  case changed
  /// Refused, before any I/O.
  case failed(StoreError)
}

extension LogAppender {
  /// Appends one record. `expected` is the record that the index must still name, or nil for a
  /// blind write.
  func append(
    _ record: PreparedRecord, key: RawSpan, storedValue: RawSpan, expected: ExpectedRecord?,
    level: Durability, _ state: inout LogState, _ actions: inout LogActions
  ) -> AppendResult {
    if record.isDelete || expected != nil {
      let current = RecordLocation(rawValue: index.find(record.hash))
      if let expected, !isStill(expected, at: current) { return .changed }
      if record.isDelete, current == .none || current.isTombstone {
        return .nothingToDelete(frame: state.frames.last { $0.contains(current.page) })
      }
    }
    let frame: LogFrame
    switch makeRoom(CollectionOfOne(record), level, &state, &actions) {
    case .ready(let ready): frame = ready
    case .mustWait(let reason): return .mustWait(reason)
    case .failed(let error): return .failed(error)
    }
    do throws(IndexFull) {
      let sequence = try publish(record, key: key, storedValue: storedValue, in: frame, &state)
      return .appended(frame: frame, sequence: sequence)
    } catch {
      return .failed(LogAppender.indexFull(error))
    }
  }

  /// Appends the records of a batch to one frame.
  func append(
    _ records: [PreparedRecord], operations: [Batch.Operation], storedValues: [[UInt8]],
    level: Durability, _ state: inout LogState, _ actions: inout LogActions
  ) -> AppendResult {
    let frame: LogFrame
    switch makeRoom(records, level, &state, &actions) {
    case .ready(let ready): frame = ready
    case .mustWait(let reason): return .mustWait(reason)
    case .failed(let error): return .failed(error)
    }
    do throws(IndexFull) {
      // Room for all of them first: a batch is never published in part.
      try index.prepareInserts(records.map(\.hash))
      var sequence = state.lastSequence
      for index in records.indices {
        let key = operations[index].key
        let storedValue = storedValues[index]
        // SAFETY: the bytes of an array of bytes have no padding.
        sequence = unsafe try publish(
          records[index], key: key.span.bytes, storedValue: storedValue.span.bytes, in: frame,
          &state)
      }
      return .appended(frame: frame, sequence: sequence)
    } catch {
      return .failed(LogAppender.indexFull(error))
    }
  }

  /// Whether what a write relies on is still so, under the lock under which it is appended.
  func isStill(_ expected: ExpectedRecord, at location: RecordLocation) -> Bool {
    guard place(of: location) == expected.place else { return false }
    let liveUntil = expected.liveUntilMilliseconds
    return liveUntil == 0 || clock.milliseconds < liveUntil
  }

  /// The record that a location names right now.
  func place(of location: RecordLocation) -> RecordPlace {
    RecordPlace(
      location: location,
      generation: geometry.segment(containing: location.page).map(segments.generation(of:))
        ?? Generation(0))
  }

  static func indexFull(_ error: IndexFull) -> StoreError {
    StoreError(
      .resource,
      "the index would exceed the memory budget: raise memoryBudget, or delete keys (\(error))")
  }

  /// Lets readers see the record, takes its sequence number and encodes it. The index comes first,
  /// since it alone can refuse. A reader that finds the new location meanwhile asks for the frame
  /// under the log's lock, and so waits until the record is there.
  ///
  /// - Throws: `IndexFull`; nothing changed.
  private func publish(
    _ record: PreparedRecord, key: RawSpan, storedValue: RawSpan, in frame: LogFrame,
    _ state: inout LogState
  ) throws(IndexFull) -> SequenceNumber {
    var header = record.header
    var trial = frame.layout
    let placement = trial.place(header.recordByteCount)
    let location = frame.location(of: placement, header)
    let old = RecordLocation(rawValue: try index.upsert(record.hash, location.rawValue))
    let sequence = SequenceNumber(state.lastSequence.rawValue + 1)
    state.lastSequence = sequence
    header.sequence = sequence
    frame.append(header, key: key, storedValue: storedValue)
    state.current?.summary.append(
      SummaryEntry(
        hash: record.hash, sequence: sequence, location: location,
        expiryMilliseconds: header.expiryMilliseconds))
    segments.addLive(location)
    if old != .none { frame.superseded.append(old) }
    segments.noteIndexed(location, insteadOf: old)
    state.activityCount &+= 1
    state.recordCountSinceCheckpoint += 1
    return sequence
  }

  private enum Room {
    case ready(LogFrame)
    case mustWait(WaitReason)
    case failed(StoreError)
  }

  /// Finds or opens a frame in which all the records fit together.
  private func makeRoom(
    _ records: some Collection<PreparedRecord>, _ level: Durability, _ state: inout LogState,
    _ actions: inout LogActions
  ) -> Room {
    switch state.mode {
    case .running: break
    case .rewriting: return .mustWait(.maintenance)
    case .poisoned(let error): return .failed(error)
    case .closed: return .failed(.closedStore)
    }
    let wants = records.contains { !$0.isDelete }
    if state.lastSequence.rawValue + UInt64(records.count) > state.sequenceCeiling.rawValue {
      actions.needsMaintenance = true
      return .mustWait(.maintenance)
    }
    if state.isFull || state.isExhausted { actions.needsMaintenance = true }
    // Each turn closes a frame or a segment, so three suffice; more would be a bug.
    for _ in 0..<4 {
      if wants, state.current?.isReserve == true { return full(state, &actions) }
      if let frame = state.openFrame {
        if fits(records, in: frame, state) { return .ready(frame) }
        closeOpenFrame(&state)
        continue
      }
      if wants, let credit = state.ingestCredit, credit <= 0, records.first?.hasWaited == false {
        actions.needsMaintenance = true
        return .mustWait(.credit)
      }
      if let current = state.current {
        var layout = FrameLayout()
        for record in records { _ = layout.place(record.header.recordByteCount) }
        if current.hasRoom(
          endPage: current.nextPage + layout.pageCount, additionalRecordCount: records.count,
          in: geometry)
        {
          guard let frame = openFrame(pageCount: layout.pageCount, level, &state) else {
            return .mustWait(.memory(byteCount: bufferByteCount(pageCount: layout.pageCount)))
          }
          return .ready(frame)
        }
        guard current.nextPage > 1 else {
          return .failed(StoreError(.tooLarge, "the write does not fit a segment of this store"))
        }
      }
      guard let next = state.ready.first else {
        actions.needsMaintenance = true
        let isStuck = wants ? state.isFull : state.isExhausted
        return isStuck ? full(state, &actions) : .mustWait(.maintenance)
      }
      if wants, next.isReserve { return full(state, &actions) }
      state.ready.removeFirst()
      enter(next, &state)
      actions.needsMaintenance = true
    }
    preconditionFailure("no frame was found although a segment was free")
  }

  private func fits(
    _ records: some Collection<PreparedRecord>, in frame: LogFrame, _ state: borrowing LogState
  ) -> Bool {
    guard let current = state.current else { return false }
    var layout = frame.layout
    for record in records { _ = layout.place(record.header.recordByteCount) }
    return layout.pageCount <= frame.pageCapacity
      && current.hasRoom(
        endPage: frame.pageInSegment + layout.pageCount,
        additionalRecordCount: records.count, in: geometry)
  }

  /// What a writer gets where no segment is free for it: it waits while segments are being sealed
  /// or freed, so that overwriting few keys never answers `full`.
  private func full(_ state: borrowing LogState, _ actions: inout LogActions) -> Room {
    guard !state.hasSpaceToCome else {
      actions.needsMaintenance = true
      return .mustWait(.reclamation(roomCount: state.roomCount))
    }
    return .failed(
      StoreError(
        .full,
        "no segment is free for writes; deletes still work, and writes resume when whole segments "
          + "have nothing live left. Delete or overwrite keys, or use a larger store"))
  }

  /// Goes on in a fresh segment. The one before it waits to be sealed.
  /// `firstSequence` is the first number that will lie there, nil for the next one.
  func enter(
    _ next: PreparedSegment, firstSequence: SequenceNumber? = nil, _ state: inout LogState
  ) {
    finishCurrentSegment(&state)
    let before = state.predecessor
    state.current = OpenSegment(
      segment: next.segment, generation: next.generation,
      firstPage: geometry.firstPage(of: next.segment), isReserve: next.isReserve,
      header: SegmentHeader(
        stream: .user, predecessor: before?.segment ?? .none,
        predecessorGeneration: before?.generation ?? Generation(0),
        predecessorEndPageCount: before?.endPageCount ?? PageCount(0),
        predecessorFrameChecksum: before?.lastFrameChecksum ?? 0,
        firstSequence: firstSequence ?? SequenceNumber(state.lastSequence.rawValue + 1),
        durableWatermark: state.durableSequence, clockMilliseconds: clock.stampMilliseconds,
        openEpoch: state.openEpoch))
    segments.setBufferedFloor(0, of: next.segment)
  }

  func finishCurrentSegment(_ state: inout LogState) {
    guard let current = state.current else { return }
    let finished = FinishedSegment(
      segment: current.segment, generation: current.generation,
      endPageCount: PageCount(UInt32(current.nextPage)),
      lastFrameChecksum: current.chainChecksum, summary: current.summary,
      lastFrameIdentifier: state.nextFrameIdentifier - 1)
    state.finished.append(finished)
    state.predecessor = finished
    state.current = nil
  }

  /// Opens a frame of at least `pageCount` pages at the end of the current segment, or nil where
  /// the memory for it is in use.
  func openFrame(pageCount: Int, _ level: Durability, _ state: inout LogState) -> LogFrame? {
    guard let current = state.current else { return nil }
    let roomPages =
      Int(geometry.framePageLimit(summaryPages: PageCount(1)).rawValue) - current.nextPage
    let standard = min(LogAppender.framePageCount, max(1, Int(geometry.segmentPageCount.rawValue)))
    let wanted = max(pageCount, min(standard, max(1, roomPages)))
    guard let buffer = takeBuffer(pageCount: wanted, standard: standard, level, &state)
    else {
      return nil
    }
    let frame = LogFrame(
      buffer: buffer, identifier: state.nextFrameIdentifier, in: current, log: self)
    state.nextFrameIdentifier += 1
    state.frames.append(frame)
    return frame
  }

  /// The memory of a frame of so many pages: one more, for a segment header before it.
  private func bufferByteCount(pageCount: Int) -> Int {
    let standard = min(LogAppender.framePageCount, max(1, Int(geometry.segmentPageCount.rawValue)))
    return (max(pageCount, standard) + 1) * Limits.pageByteCount
  }

  private func takeBuffer(
    pageCount: Int, standard: Int, _ level: Durability, _ state: inout LogState
  ) -> PageBuffer? {
    let byteCount = bufferByteCount(pageCount: pageCount)
    // What is queued ahead of a durable write is bounded, and `buffered` writers wait first: a
    // quarter of the memory is not for them.
    let limit = level == .buffered ? bufferByteLimit / 4 * 3 : bufferByteLimit
    // One frame may always be open, however large, or a large value could never be written.
    guard state.bufferByteCount == 0 || state.bufferByteCount + byteCount <= limit
    else { return nil }
    state.bufferByteCount += byteCount
    if pageCount <= standard, let buffer = state.freeBuffers.popLast() { return buffer }
    // Those that wait to be used again count too.
    let freeByteCount = bufferByteLimit - state.bufferByteCount
    let kept = max(0, freeByteCount / bufferByteCount(pageCount: standard))
    state.freeBuffers.removeLast(max(0, state.freeBuffers.count - kept))
    return PageBuffer(byteCount: byteCount)
  }

  /// Takes the memory of a written frame back.
  func recycle(_ frame: LogFrame, _ state: inout LogState) {
    let standard = min(LogAppender.framePageCount, max(1, Int(geometry.segmentPageCount.rawValue)))
    state.bufferByteCount -= (frame.pageCapacity + 1) * Limits.pageByteCount
    if let buffer = frame.takeBuffer(), frame.pageCapacity == standard {
      state.freeBuffers.append(buffer)
    }
  }

  /// Seals the open frame: it takes no more records and waits for its turn at the device.
  func closeOpenFrame(_ state: inout LogState) {
    guard let frame = state.openFrame else { return }
    state.closedCount += 1
    sealFrame(frame, &state)
    if let credit = state.ingestCredit {
      state.ingestCredit = credit - frame.pageCount * Limits.pageByteCount
    }
    counters.add(counters.frames)
    counters.add(counters.frameBytes, frame.pageCount * Limits.pageByteCount)
    counters.add(
      counters.paddingBytes, frame.pageCount * Limits.pageByteCount - frame.recordByteCount)
    if frame.ordinal == 0 { counters.add(counters.metadataBytes, Limits.pageByteCount) }
  }

  /// Completes a frame as the next one of the current segment.
  func sealFrame(_ frame: LogFrame, _ state: inout LogState) {
    guard var current = state.current else { return }
    current.chainChecksum = frame.seal(
      Frame.Seal(
        uuid: uuid, checksum: checksum, previousChecksum: current.chainChecksum,
        durableWatermark: state.durableSequence, clockMilliseconds: clock.stampMilliseconds,
        openEpoch: state.openEpoch, segmentHeader: frame.ordinal == 0 ? current.header : nil))
    frame.state = .closed
    current.lastFramePage = frame.pageInSegment
    current.nextPage = frame.pageInSegment + frame.pageCount
    current.ordinal += 1
    state.current = current
    state.watermarkWritten = state.durableSequence
  }
}
