import VarveFormat

extension LogAppender {
  /// What the segments hold that are not sealed yet.
  var unsealedContents: [SegmentIndex: SegmentContents] {
    state.withLock { state in
      var contents: [SegmentIndex: SegmentContents] = [:]
      for finished in state.finished {
        contents[finished.segment] = SegmentContents(
          generation: finished.generation, summary: finished.summary,
          usedPageCount: finished.endPageCount)
      }
      if let current = state.current {
        contents[current.segment] = SegmentContents(
          generation: current.generation, summary: current.summary,
          usedPageCount: PageCount(UInt32(current.nextPage)))
      }
      for ready in state.ready {
        contents[ready.segment] = SegmentContents(
          generation: ready.generation, recordCount: 0, usedPageCount: PageCount(0))
      }
      return contents
    }
  }
}
