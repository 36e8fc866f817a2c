import Varve

/// One comparison of a recovered store with what was submitted and acknowledged before a crash.
///
/// The store's writes are one stream, so the recovered state must be the state after some prefix
/// of it that reaches at least to the last promised operation. Operations whose sequence number
/// nobody learned (in flight for ever, or lost) may have happened anywhere after what was
/// acknowledged before they began, and before what began after they were given up.
struct OracleJudgement {
  typealias Bytes = Oracle.Bytes

  /// A version of a key: the operation that made it.
  struct Version {
    let sequence: UInt64
    let value: Bytes?
  }

  /// An operation without a sequence number and the numbers between which it must have lain.
  struct Unplaced {
    let results: [Bytes: Bytes?]
    let lowest: UInt64
    let highest: UInt64
  }

  let recovered: [Bytes: Bytes]
  /// Those submitted in time with a sequence number, in its order, none after one that was not.
  let placed: [Oracle.Operation]
  let unplaced: [Unplaced]
  /// Everything up to this sequence number must be there.
  let floor: UInt64

  init(
    operations: [Oracle.Operation], recovered: [Bytes: Bytes], crash: Crash, eventIndex: Int
  ) {
    self.recovered = recovered
    let submitted = operations.filter { $0.beganAt <= eventIndex && $0.outcome != .refused }
    let needed: Durability = crash == .power ? .durable : .written
    floor =
      submitted.filter {
        $0.outcome == .acknowledged && $0.settledAt <= eventIndex && $0.level >= needed
      }.compactMap(\.sequence).max() ?? 0
    // What began too late cannot be there, and so nothing that follows it.
    let bound =
      operations.filter { $0.beganAt > eventIndex && !$0.results.isEmpty }
      .compactMap(\.sequence).min() ?? .max
    placed = submitted.filter { $0.sequence.map { $0 < bound } ?? false && !$0.results.isEmpty }
      .sorted { ($0.sequence ?? 0) < ($1.sequence ?? 0) }
    unplaced = submitted.filter { $0.sequence == nil }.map { operation in
      Unplaced(
        results: operation.results,
        lowest: operations.filter { $0.settledTick < operation.beganTick }
          .compactMap(\.sequence).max() ?? 0,
        highest: operations.filter { $0.beganTick > operation.settledTick && !$0.results.isEmpty }
          .compactMap(\.sequence).min() ?? .max)
    }
  }

  func violations() -> [String] {
    var versions: [Bytes: Version] = [:]
    var differing = Set(recovered.keys)
    if floor == 0, isExplained(differing, versions, cut: 0) { return [] }
    for operation in placed {
      let sequence = operation.sequence ?? 0
      for (key, value) in operation.results {
        versions[key] = Version(sequence: sequence, value: value)
        if recovered[key] == value { differing.remove(key) } else { differing.insert(key) }
      }
      if sequence >= floor, isExplained(differing, versions, cut: sequence) { return [] }
    }
    let found = diagnosis()
    if !found.isEmpty { return found }
    return ["prefix: no prefix of the operations from sequence \(floor) on gives this state"]
  }

  /// Whether the keys that differ from the state after `cut` show what unplaced operations wrote,
  /// each of those being whole.
  private func isExplained(
    _ differing: Set<Bytes>, _ versions: [Bytes: Version], cut: UInt64
  ) -> Bool {
    differing.allSatisfy { key in
      unplaced.contains { operation in
        guard let result = operation.results[key], result == recovered[key],
          operation.lowest <= cut, (versions[key]?.sequence ?? 0) < operation.highest
        else { return false }
        return operation.results.allSatisfy { other, value in
          recovered[other] == value || (versions[other]?.sequence ?? 0) > operation.lowest
            || unplaced.contains { rival in
              rival.results[other].map { $0 == recovered[other] } ?? false
            }
        }
      }
    }
  }
}
