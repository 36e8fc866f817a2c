import Synchronization
import Varve

/// The dictionary that a store is compared with after a crash, and the judge of what may be lost.
///
/// A test tells the oracle of each operation twice: `begin` right before the store is called, and
/// `acknowledge`, `refuse` or `lose` right after it has answered, each time with the device's
/// `eventCount`. `check` then says what a recovered store shows that it must not, for a crash
/// after any number of events:
///
/// 1. No loss: what was acknowledged at a level survives every crash of that level's class.
/// 2. No invention: every value was submitted for its key.
/// 3. No rollback: a key shows its last acknowledged version or a newer submitted one, and what
///    survives is a prefix by sequence number.
/// 4. A batch is whole or absent.
///
/// Operations may overlap. Values that occur once in a run make the messages precise.
public final class Oracle: Sendable {
  /// Keys and values.
  public typealias Bytes = [UInt8]

  /// One key's part of an operation.
  public enum Change: Hashable, Sendable {
    /// The key gets this value.
    case put(Bytes, Bytes)
    /// The key is removed.
    case delete(Bytes)
  }

  /// Names an operation that was begun.
  public struct Ticket: Hashable, Sendable {
    let index: Int
  }

  enum Outcome: Hashable, Sendable {
    case open, acknowledged, refused, indeterminate
  }

  /// One operation; a batch is one, too. Ticks order what the oracle was told.
  struct Operation: Sendable {
    /// What each key is after it; nil is deleted.
    var results: [Bytes: Bytes?]
    let level: Durability
    let beganAt: Int
    let beganTick: Int
    /// A sync writes nothing of its own.
    var isSync = false
    var outcome = Outcome.open
    var sequence: UInt64?
    var settledAt = Int.max
    var settledTick = Int.max
  }

  struct State: Sendable {
    var operations: [Operation] = []
    var tick = 0

    mutating func nextTick() -> Int {
      tick += 1
      return tick
    }
  }

  private let state = Mutex(State())

  /// An oracle of a store that holds `contents`, durably, under sequence numbers up to 1.
  public init(contents: [Bytes: Bytes] = [:]) {
    guard !contents.isEmpty else { return }
    let base = begin(contents.map { .put($0, $1) }, level: .durable, eventCount: 0)
    acknowledge(base, sequence: 1, eventCount: 0)
  }

  /// Records that an operation, one change or a batch of several, is about to be submitted.
  public func begin(_ changes: [Change], level: Durability, eventCount: Int) -> Ticket {
    var results: [Bytes: Bytes?] = [:]
    for change in changes {
      switch change {
      case .put(let key, let value): results[key] = .some(value)
      case .delete(let key): results[key] = .some(nil)
      }
    }
    return state.withLock { state in
      state.operations.append(
        Operation(
          results: results, level: level, beganAt: eventCount, beganTick: state.nextTick()))
      return Ticket(index: state.operations.count - 1)
    }
  }

  /// Records that the store acknowledged an operation under a sequence number.
  ///
  /// - Parameters:
  ///   - ticket: The operation.
  ///   - sequence: Its number; nil where there was nothing to write (a delete of an absent key):
  ///     then the state that it relied on is promised.
  ///   - eventCount: The device's event count after the store has answered.
  public func acknowledge(_ ticket: Ticket, sequence: UInt64?, eventCount: Int) {
    state.withLock { state in
      var operation = state.operations[ticket.index]
      if let sequence {
        operation.sequence = sequence
      } else {
        // Only what was acknowledged before it began was certainly there for it to rely on.
        let relied = state.operations.filter { other in
          other.outcome == .acknowledged && other.settledTick < operation.beganTick
            && other.results.keys.contains { operation.results.keys.contains($0) }
        }
        operation.results = [:]
        operation.sequence = relied.compactMap(\.sequence).max() ?? 0
      }
      operation.settle(.acknowledged, at: eventCount, tick: state.nextTick())
      state.operations[ticket.index] = operation
    }
  }

  /// Records that the store refused an operation for certain: it must never show.
  ///
  /// - Parameters:
  ///   - ticket: The operation.
  ///   - standing: The sequence number of the write that stood in the way, where the store vouched
  ///     for it at the operation's level.
  ///   - eventCount: The device's event count after the store has answered.
  public func refuse(_ ticket: Ticket, standing: UInt64? = nil, eventCount: Int) {
    guard let standing else { return settle(ticket, .refused, eventCount) }
    state.withLock { state in
      state.operations[ticket.index].results = [:]
      state.operations[ticket.index].sequence = standing
    }
    settle(ticket, .acknowledged, eventCount)
  }

  /// Records that the store could not tell what became of an operation: it may show or not.
  public func lose(_ ticket: Ticket, eventCount: Int) {
    settle(ticket, .indeterminate, eventCount)
  }

  /// Records that `sync()` or `close()` is about to be called; acknowledge it like an operation,
  /// with sequence nil.
  public func beginSync(eventCount: Int) -> Ticket {
    state.withLock { state in
      // All keys of all operations acknowledged so far: what it relies on becomes durable.
      var keys: [Bytes: Bytes?] = [:]
      for operation in state.operations where operation.outcome == .acknowledged {
        for key in operation.results.keys { keys[key] = .some(nil) }
      }
      state.operations.append(
        Operation(
          results: keys, level: .durable, beganAt: eventCount, beganTick: state.nextTick(),
          // Without an acknowledgement it means nothing.
          isSync: true, outcome: .refused))
      return Ticket(index: state.operations.count - 1)
    }
  }

  /// The event counts at which what must survive, or may, changes.
  public var marks: Set<Int> {
    state.withLock { state in
      Set(state.operations.flatMap { [$0.beganAt, $0.settledAt] })
    }
  }

  /// What a store that lost nothing holds: every acknowledged operation, in order.
  public var contents: [Bytes: Bytes] {
    state.withLock { state in
      var contents: [Bytes: Bytes] = [:]
      let acknowledged = state.operations.filter { $0.outcome == .acknowledged }
      for operation in acknowledged.sorted(by: { ($0.sequence ?? 0) < ($1.sequence ?? 0) }) {
        for (key, value) in operation.results { contents[key] = value }
      }
      return contents
    }
  }

  /// Judges what was recovered after a crash; empty if the contract was kept.
  ///
  /// - Parameters:
  ///   - recovered: All that the reopened store holds.
  ///   - crash: The class of the crash.
  ///   - eventIndex: How many events of the device had happened.
  /// - Returns: Each broken rule in words.
  public func check(
    recovered: [Bytes: Bytes], crash: Crash, eventIndex: Int
  ) -> [String] {
    let operations = state.withLock { $0.operations }
    let judgement = OracleJudgement(
      operations: operations, recovered: recovered, crash: crash, eventIndex: eventIndex)
    return judgement.violations()
  }

  /// Judges what a crash image became.
  public func check(recovered: [Bytes: Bytes], image: CrashImage) -> [String] {
    check(recovered: recovered, crash: image.crash, eventIndex: image.eventIndex)
  }

  private func settle(_ ticket: Ticket, _ outcome: Outcome, _ eventCount: Int) {
    state.withLock { state in
      let tick = state.nextTick()
      let outcome = state.operations[ticket.index].isSync ? .refused : outcome
      state.operations[ticket.index].settle(outcome, at: eventCount, tick: tick)
    }
  }
}

extension Oracle.Operation {
  mutating func settle(_ outcome: Oracle.Outcome, at eventCount: Int, tick: Int) {
    precondition(settledTick == Int.max, "an operation is settled once")
    self.outcome = outcome
    settledAt = eventCount
    settledTick = tick
  }
}
