import Console

/// What a client knows: the state it began with, the operations it sent, in order, and how they
/// were answered. Its keys are its own, so that their history is this one.
struct ClientModel {
  /// A version of a key.
  struct Version: Hashable {
    let value: String
    /// Known once acknowledged.
    var sequence: Int64?
  }

  typealias State = [String: Version]

  struct Entry {
    let operation: Workload.Operation
    var isAcknowledged = false
    /// Whether it took effect, where the answer says so.
    var wasApplied: Bool?
    /// Of its last step.
    var sequence: Int64?
  }

  /// A breach of the contract, in words.
  struct Breach: Error, CustomStringConvertible {
    let description: String
  }

  private(set) var base: State = [:]
  private(set) var entries: [Entry] = []
  /// The state after every operation so far, those in flight included.
  private(set) var state: State = [:]
  /// As many operations as these survive a kill.
  private(set) var safeCount = 0

  /// Sequence numbers of present versions, as far as they are known.
  var sequences: [String: Int64] { state.compactMapValues(\.sequence) }

  /// Begins anew from what a recovery showed.
  mutating func rebase(to state: State) {
    base = state
    self.state = state
    entries = []
    safeCount = 0
  }

  /// Notes an operation that is being sent, and returns its number.
  mutating func send(_ operation: Workload.Operation) -> Int {
    entries.append(Entry(operation: operation))
    Self.apply(entries[entries.count - 1], to: &state)
    return entries.count - 1
  }

  /// Notes an answer. Answers come in the order of the requests.
  mutating func take(_ answer: JSONValue, number: Int) throws(Breach) {
    // The state just before this operation tells what the answer must be.
    var before = base
    for entry in entries[..<number] { Self.apply(entry, to: &before) }
    entries[number].isAcknowledged = true
    guard answer["ok"] == true else {
      guard answer["code"] == "full" else {
        throw Breach(description: "operation \(number) failed: \(answer["message"]?.text ?? "")")
      }
      entries[number].wasApplied = false
      return recompute()
    }
    switch entries[number].operation {
    case .get(let key):
      guard answer["found"]?.bool == (before[key] != nil),
        answer["value"]?.text == before[key]?.value
      else { throw Breach(description: "get \(key) answered something else than the model has") }
    case .sync, .checkpoint: safeCount = max(safeCount, number + 1)
    case .write(let steps, _, let durability):
      let expected = Self.holds(steps, in: before)
      let applied = answer["applied"]?.bool ?? true
      guard applied == expected else {
        throw Breach(
          description:
            "operation \(number) answered \(String(decoding: answer.encoded, as: UTF8.self)), "
            + "expected applied \(expected): "
            + String(decoding: entries[number].operation.request(id: number).encoded, as: UTF8.self)
            .prefix(1000)
            + "; the model has \(steps.map { before[$0.key]?.sequence })")
      }
      entries[number].wasApplied = applied
      entries[number].sequence = applied ? answer["seq"]?.integer : nil
      // A delete of nothing wrote nothing, and a refusal only waits for what stands in its way.
      if durability != "buffered", applied, answer["seq"] != nil, Self.writes(steps, in: before) {
        safeCount = max(safeCount, number + 1)
      }
    }
    recompute()
  }

  private mutating func recompute() {
    state = base
    for entry in entries { Self.apply(entry, to: &state) }
  }

  /// The states that a recovery may show: after `safeCount` operations, or after some more.
  func permitted() -> [(count: Int, state: State)] {
    var state = base
    var states: [(count: Int, state: State)] = []
    for count in 0...entries.count {
      if count > 0 { Self.apply(entries[count - 1], to: &state) }
      if count >= safeCount { states.append((count, state)) }
    }
    return states
  }

  /// The counts of operations after which the state is what was found.
  func matches(_ found: State) -> [Int] {
    permitted().filter { permitted in
      permitted.state.count == found.count
        && permitted.state.allSatisfy { key, version in
          guard let other = found[key], other.value == version.value else { return false }
          return version.sequence == nil || version.sequence == other.sequence
        }
    }.map(\.count)
  }

  private static func holds(_ steps: [Workload.Step], in state: State) -> Bool {
    steps.allSatisfy { step in
      switch step.condition {
      case .always: true
      case .ifAbsent: state[step.key] == nil
      case .ifVersion(let sequence): state[step.key]?.sequence == sequence
      }
    }
  }

  private static func writes(_ steps: [Workload.Step], in state: State) -> Bool {
    steps.contains { $0.value != nil || state[$0.key] != nil }
  }

  private static func apply(_ entry: Entry, to state: inout State) {
    guard case .write(let steps, let isBatch, _) = entry.operation,
      entry.wasApplied ?? holds(steps, in: state)
    else { return }
    for (index, step) in steps.enumerated() {
      let isLast = !isBatch || index == steps.count - 1
      state[step.key] = step.value.map {
        Version(value: $0, sequence: isLast ? entry.sequence : nil)
      }
    }
  }
}
