import Glibc
import Synchronization
import VarveIO

/// What lies behind a `SimulatedDevice`: its content, its faults, and the record of both.
///
/// Invariant: every event is recorded and applied in one step under the lock, so that the history
/// and the content never disagree.
final class SimulatedMedium: RequestExecutor {
  struct State {
    let initial: SparseImage
    var byteCount: UInt64
    var cache: VolatileCache
    var events: [HistoryEvent] = []
    var faults: FaultInjector
    var nextTicket: UInt64 = 0
    var discardOutcome: DiscardOutcome?

    mutating func record(_ event: HistoryEvent) {
      events.append(event)
      cache.apply(event)
    }
  }

  let state: Mutex<State>

  init(image: SparseImage, faults: FaultPlan) {
    state = Mutex(
      State(
        initial: image, byteCount: image.byteCount, cache: VolatileCache(image: image),
        faults: FaultInjector(plan: faults)))
  }

  /// Records a submission and gives the request its ticket. A write's bytes are taken now: they
  /// may reach the medium from now on.
  func begin(_ request: IORequest) -> UInt64 {
    state.withLock { state in
      let ticket = state.nextTicket
      state.nextTicket += 1
      guard request.refusal(deviceByteCount: state.byteCount) == nil else { return ticket }
      switch request.operation {
      case .read: break
      case .write, .writeDurably:
        let landing = Landing(byteOffset: request.byteOffset, bytes: request.payload)
        state.record(
          .writeSubmitted(
            ticket: ticket, landing: landing, isDurable: request.operation == .writeDurably))
      case .flush: state.record(.flushSubmitted(ticket: ticket))
      }
      return ticket
    }
  }

  /// Discards a range at once: to whatever survives it is a write of zeros that nobody has flushed.
  /// Returns an error number, or 0.
  func discard(_ range: Range<UInt64>) -> Int32 {
    state.withLock { state in
      guard let outcome = state.discardOutcome else { return EOPNOTSUPP }
      guard range.upperBound <= state.byteCount, (range.lowerBound | range.upperBound) % 4096 == 0
      else { return EINVAL }
      if case .failure(let errorNumber) = outcome { return errorNumber }
      let whole = Landing(
        byteOffset: range.lowerBound, bytes: [UInt8](repeating: 0, count: range.count))
      let ticket = state.nextTicket
      state.nextTicket += 1
      state.record(.writeSubmitted(ticket: ticket, landing: whole, isDurable: false))
      let landings =
        switch outcome {
        case .zeros: [whole]
        case .oldContent, .failure: [Landing]()
        case .mixture:
          state.faults.landingRanges(byteCount: range.count, isTorn: true).map { whole.part($0) }
        }
      state.record(.writeCompleted(ticket: ticket, landings: landings, errorNumber: 0))
      return 0
    }
  }

  func execute(_ request: IORequest, ticket: UInt64) -> IOError? {
    let errorNumber = state.withLock { state -> Int32 in
      if let refusal = request.refusal(deviceByteCount: state.byteCount) {
        // The device may have shrunk since: then the write was recorded, and did not land.
        if request.operation != .read {
          state.record(
            .writeCompleted(ticket: ticket, landings: [], errorNumber: refusal.errorNumber))
        }
        return refusal.errorNumber
      }
      let effect = state.faults.decide(request)
      switch request.operation {
      case .read: return state.read(request, effect)
      case .write, .writeDurably: return state.write(request, ticket, effect)
      case .flush: return state.flush(ticket, effect)
      }
    }
    return errorNumber == 0 ? nil : IOError(request, errorNumber: errorNumber)
  }
}

extension SimulatedMedium.State {
  fileprivate mutating func read(_ request: IORequest, _ effect: FaultPlan.Effect?) -> Int32 {
    var errorNumber: Int32 = 0
    if case .fail(let number) = effect { errorNumber = number }
    if errorNumber == 0 {
      request.fill(from: cache.visible)
    }
    record(
      .readCompleted(
        byteOffset: request.byteOffset, byteCount: request.byteCount, errorNumber: errorNumber))
    return errorNumber
  }

  fileprivate mutating func write(
    _ request: IORequest, _ ticket: UInt64, _ effect: FaultPlan.Effect?
  ) -> Int32 {
    let whole = Landing(byteOffset: request.byteOffset, bytes: request.payload)
    var landings = [whole]
    var errorNumber: Int32 = 0
    switch effect {
    case nil: break
    case .fail(let number), .failLosingData(let number):
      errorNumber = number
      let ranges = faults.landingRanges(byteCount: request.byteCount, isTorn: false)
      landings = ranges.map { whole.part($0) }
    case .tear:
      let ranges = faults.landingRanges(byteCount: request.byteCount, isTorn: true)
      landings = ranges.map { whole.part($0) }
    case .lose: landings = []
    case .misdirect(let byteOffset):
      landings = [Landing(byteOffset: byteOffset, bytes: whole.bytes)]
    }
    record(.writeCompleted(ticket: ticket, landings: landings, errorNumber: errorNumber))
    return errorNumber
  }

  fileprivate mutating func flush(_ ticket: UInt64, _ effect: FaultPlan.Effect?) -> Int32 {
    var errorNumber: Int32 = 0
    var losesData = false
    switch effect {
    case .fail(let number): errorNumber = number
    case .failLosingData(let number): (errorNumber, losesData) = (number, true)
    default: break
    }
    record(.flushCompleted(ticket: ticket, errorNumber: errorNumber, losesData: losesData))
    return errorNumber
  }
}
