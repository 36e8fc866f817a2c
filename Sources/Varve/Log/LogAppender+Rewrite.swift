// What happens when a write of the log fails: the range is retired, and the failed frame with every
// frame after it, also those acknowledged as `buffered`, goes to fresh segments. `Maintenance` runs
// this once nothing is in flight.
//
// DURABILITY: the frames before the failed one are flushed first, and the table names the end of
// their segment durably before anything is written elsewhere; only then are the frames sealed anew
// for their new place (checksums are salted by address) and submitted. Nothing is acknowledged
// until that write is complete.

import VarveFormat

extension LogAppender {
  /// What has to move.
  struct RewritePlan {
    /// The segment in which the failed frame lies.
    var segment: SegmentIndex
    /// Pages of it that count: what lies before the failed frame.
    var endPageCount: PageCount
    /// The last frame that is on the device.
    var writtenFrameIdentifier: UInt64
    /// Segments in which only frames that move lie: they are freed.
    var abandoned: [SegmentIndex]
    /// Pages that move.
    var pageCount: Int
    /// What the next segment names as its predecessor.
    var predecessor: FinishedSegment?
  }

  /// Describes the rewrite, or nil where none is due or requests are still in flight.
  func rewritePlan() -> RewritePlan? {
    withLog { state, _ in
      guard case .rewriting = state.mode, state.submittedCount == 0 else { return nil }
      closeOpenFrame(&state)
      guard let failed = state.frames.dropFirst(state.writtenCount).first else {
        state.mode = .running
        state.needsRoomCheck = true
        return nil
      }
      let moving = state.frames[state.writtenCount...]
      var abandoned: [SegmentIndex] = []
      for frame in moving where frame.segment != failed.segment || failed.ordinal == 0 {
        if !abandoned.contains(frame.segment) { abandoned.append(frame.segment) }
      }
      // A segment that was entered and got no frame, because memory was short, would be forgotten.
      if let current = state.current, current.nextPage == 1,
        !abandoned.contains(current.segment)
      {
        abandoned.append(current.segment)
      }
      return RewritePlan(
        segment: failed.segment,
        endPageCount: PageCount(UInt32(failed.ordinal == 0 ? 0 : failed.pageInSegment)),
        writtenFrameIdentifier: state.writtenCount > 0
          ? state.frames[state.writtenCount - 1].identifier : 0,
        abandoned: abandoned, pageCount: moving.reduce(0) { $0 + $1.pageCount },
        predecessor: failed.ordinal == 0
          ? nil
          : FinishedSegment(
            segment: failed.segment, generation: failed.generation,
            endPageCount: PageCount(UInt32(failed.pageInSegment)),
            lastFrameChecksum: failed.previousChecksum, summary: SummaryBuilder(),
            lastFrameIdentifier: failed.identifier - 1))
    }
  }

  /// Moves the frames into fresh segments, of which `take` hands out one after the other.
  ///
  /// - Returns: the segments that were not needed; nil where segments ran out, and the store is
  ///   poisoned then.
  func moveFrames(
    _ plan: RewritePlan, hashKey: HashKey, into targets: [PreparedSegment]
  ) -> [PreparedSegment]? {
    withLog { state, actions in
      state.finished.removeAll {
        $0.segment == plan.segment || plan.abandoned.contains($0.segment)
      }
      state.current = nil
      // Every frame that is not written yet is submitted anew, and counted again then.
      state.unwrittenCommitCount = 0
      // The retired segment, where a part of it counts, is the last before the new ones.
      state.predecessor = plan.predecessor ?? state.finished.last
      var remaining = targets[...]
      var moves: [FrameMove] = []
      for (position, frame) in state.frames.enumerated().dropFirst(state.writtenCount) {
        if PlantedBug.laterFramesStay.isPlanted, position > state.writtenCount { break }
        while true {
          if let current = state.current,
            current.hasRoom(
              endPage: current.nextPage + frame.pageCount,
              additionalRecordCount: Int(frame.recordCount), in: geometry)
          {
            break
          }
          guard let target = remaining.popFirst() else {
            poison("no segment was left for records whose write failed", &state, &actions)
            return nil
          }
          // DURABILITY: recovery replays segments in the order of their first sequence number, so
          // the header names that of the first record that moves here, not the next one.
          let first = state.frames[position...].first { $0.recordCount > 0 }?.firstSequence
          enter(target, firstSequence: first, &state)
        }
        move(frame, hashKey: hashKey, &moves, &state)
      }
      state.mode = .running
      resumeSpaceWaiters(&state, &actions)
      return Array(remaining)
    }
  }

  /// Where a frame was and where it is now.
  private struct FrameMove {
    var oldFirstPage: PageIndex
    var pageCount: Int
    var newFirstPage: PageIndex

    func moved(_ location: RecordLocation) -> RecordLocation? {
      let page = location.page.rawValue
      guard page >= oldFirstPage.rawValue, page < oldFirstPage.rawValue + UInt64(pageCount) else {
        return nil
      }
      return location.moved(to: PageIndex(page - oldFirstPage.rawValue + newFirstPage.rawValue))
    }
  }

  private func move(
    _ frame: LogFrame, hashKey: HashKey, _ moves: inout [FrameMove], _ state: inout LogState
  ) {
    guard var current = state.current else { return }
    let move = FrameMove(
      oldFirstPage: frame.firstPage, pageCount: frame.pageCount,
      newFirstPage: PageIndex(current.firstPage.rawValue + UInt64(current.nextPage)))
    moves.append(move)
    let records = frame.records(hashKey: hashKey)
    frame.segment = current.segment
    frame.generation = current.generation
    frame.firstPage = move.newFirstPage
    frame.pageInSegment = current.nextPage
    frame.ordinal = current.ordinal
    frame.superseded = frame.superseded.map { location in
      moves.lazy.compactMap { $0.moved(location) }.first ?? location
    }
    for record in records {
      guard let new = move.moved(record.location) else { continue }
      segments.addLive(new)
      _ = segments.removeLive(record.location)
      // A later frame may have superseded it; then that record's entry is swung instead.
      _ = index.replace(
        record.hash, expected: record.location.rawValue, with: new.rawValue)
      current.summary.append(
        SummaryEntry(
          hash: record.hash, sequence: record.sequence, location: new,
          expiryMilliseconds: record.expiryMilliseconds))
    }
    state.current = current
    if frame.state != .closed { state.closedCount += 1 }
    sealFrame(frame, &state)
  }
}
