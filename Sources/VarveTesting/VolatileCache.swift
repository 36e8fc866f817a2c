/// The contract of a device with a volatile write cache, replayed event by event: what is surely
/// durable, what a read returns, and what may or may not be on the medium.
///
/// The simulated device applies each event as it happens, and the crash enumerator applies the
/// same events again: the contract is stated once.
///
/// Invariants: `visible` is `durable` plus every completed write, in the order of completion;
/// `pending` holds the completed writes first, in that order, then those in flight, in the order
/// of submission; a byte that a later durable write has replaced is in no pending landing.
package struct VolatileCache: Sendable {
  /// A write of which any sector may or may not be on the medium.
  package struct PendingWrite: Sendable {
    package let ticket: UInt64
    package var landings: [Landing]
    package let isDurable: Bool
    /// The place among all completions; nil while in flight.
    package var completionIndex: Int?
    /// A failed flush gave it up: no later flush makes it durable.
    package var isGivenUp = false
  }

  /// What survives a power loss for certain.
  package private(set) var durable: SparseImage
  /// What a read returns.
  package private(set) var visible: SparseImage
  package private(set) var pending: [PendingWrite] = []
  private var completedCount = 0
  private var nextCompletionIndex = 0
  /// Which completions each flush in flight covers: all with a smaller index.
  private var flushes: [UInt64: Int] = [:]

  package init(image: SparseImage) {
    durable = image
    visible = image
  }

  /// The writes in flight: what a killed process leaves open.
  package var inFlight: ArraySlice<PendingWrite> { pending[completedCount...] }

  /// Takes one event into account; false if it changes nothing that a crash could show.
  @discardableResult
  package mutating func apply(_ event: HistoryEvent) -> Bool {
    switch event {
    case .writeSubmitted(let ticket, let landing, let isDurable):
      pending.append(
        PendingWrite(ticket: ticket, landings: [landing], isDurable: isDurable))
    case .writeCompleted(let ticket, let landings, let errorNumber):
      complete(ticket, landings, hasFailed: errorNumber != 0)
    case .flushSubmitted(let ticket):
      flushes[ticket] = nextCompletionIndex
      return false
    case .flushCompleted(let ticket, let errorNumber, let losesData):
      guard let bound = flushes.removeValue(forKey: ticket) else { return false }
      if losesData { giveUp(before: bound) }
      guard errorNumber == 0 else { return false }
      makeDurable { $0.completionIndex.map { $0 < bound } ?? false && !$0.isGivenUp }
    case .readCompleted:
      return false
    case .rotted(let landing):
      durable.write(landing.bytes, at: landing.byteOffset)
      visible.write(landing.bytes, at: landing.byteOffset)
    }
    return true
  }

  private mutating func complete(_ ticket: UInt64, _ landings: [Landing], hasFailed: Bool) {
    guard let index = inFlight.firstIndex(where: { $0.ticket == ticket }) else { return }
    var write = pending.remove(at: index)
    for landing in landings { visible.write(landing.bytes, at: landing.byteOffset) }
    write.landings = landings
    write.completionIndex = nextCompletionIndex
    nextCompletionIndex += 1
    guard !landings.isEmpty else { return }
    pending.insert(write, at: completedCount)
    completedCount += 1
    if write.isDurable, !hasFailed { makeDurable { $0.ticket == ticket } }
  }

  private mutating func giveUp(before bound: Int) {
    for index in pending.indices[..<completedCount] {
      if let completion = pending[index].completionIndex, completion < bound {
        pending[index].isGivenUp = true
      }
    }
  }

  /// Moves the chosen writes, all completed, to `durable`, in the order of completion.
  private mutating func makeDurable(_ isChosen: (PendingWrite) -> Bool) {
    var index = 0
    while index < completedCount {
      guard isChosen(pending[index]) else {
        index += 1
        continue
      }
      let write = pending.remove(at: index)
      completedCount -= 1
      for landing in write.landings {
        durable.write(landing.bytes, at: landing.byteOffset)
        // An older write of these bytes can no longer come out of the cache on top of them.
        for older in 0..<index {
          pending[older].landings = pending[older].landings.flatMap { $0.without(landing.range) }
        }
      }
    }
  }
}

extension Landing {
  /// What remains outside `range`.
  fileprivate func without(_ range: Range<UInt64>) -> [Landing] {
    guard self.range.overlaps(range) else { return [self] }
    var parts: [Landing] = []
    if byteOffset < range.lowerBound {
      parts.append(part(0..<Int(range.lowerBound - byteOffset)))
    }
    if range.upperBound < self.range.upperBound {
      parts.append(part(Int(range.upperBound - byteOffset)..<bytes.count))
    }
    return parts
  }
}
