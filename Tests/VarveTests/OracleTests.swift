import Testing
import Varve

@testable import VarveTesting

@Suite struct OracleTests {
  private let oracle = Oracle()

  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  /// Begins an operation at an event count and acknowledges it one event later.
  private func done(
    _ changes: [Oracle.Change], _ sequence: UInt64?, _ level: Durability, at eventCount: Int
  ) {
    let ticket = oracle.begin(changes, level: level, eventCount: eventCount)
    oracle.acknowledge(ticket, sequence: sequence, eventCount: eventCount + 1)
  }

  private func put(_ key: String, _ value: String) -> Oracle.Change {
    .put(bytes(key), bytes(value))
  }

  private func delete(_ key: String) -> Oracle.Change { .delete(bytes(key)) }

  private func check(_ contents: [String: String], _ crash: Crash, at event: Int) -> [String] {
    var recovered: [[UInt8]: [UInt8]] = [:]
    for (key, value) in contents { recovered[bytes(key)] = bytes(value) }
    return oracle.check(recovered: recovered, crash: crash, eventIndex: event)
  }

  private func accepts(_ contents: [String: String], _ crash: Crash, at event: Int) -> Bool {
    check(contents, crash, at: event).isEmpty
  }

  private func rejects(
    _ rule: String, _ contents: [String: String], _ crash: Crash, at event: Int
  ) -> Bool {
    check(contents, crash, at: event).contains { $0.hasPrefix(rule + ":") }
  }

  @Test func lossDependsOnLevelAndCrash() {
    done([put("a", "1")], 1, .durable, at: 0)
    done([put("b", "2")], 2, .written, at: 10)
    done([put("c", "3")], 3, .buffered, at: 20)
    #expect(accepts([:], .power, at: 0), "submitted, not acknowledged")
    #expect(accepts(["a": "1"], .power, at: 0))
    #expect(rejects("loss", [:], .power, at: 1))
    #expect(accepts(["a": "1"], .power, at: 30))
    #expect(rejects("loss", ["a": "1"], .kill, at: 30))
    #expect(accepts(["a": "1"], .kill, at: 10))
    #expect(accepts(["a": "1", "b": "2"], .kill, at: 30))
    #expect(accepts(["a": "1", "b": "2", "c": "3"], .kill, at: 30))
  }

  @Test func inventionIsFound() {
    done([put("a", "1")], 1, .durable, at: 0)
    done([put("b", "2")], 2, .durable, at: 10)
    #expect(rejects("invention", ["a": "1", "b": "1"], .power, at: 30))
    #expect(rejects("invention", ["a": "1", "b": "2", "z": "1"], .power, at: 30))
    #expect(rejects("invention", ["a": "1", "b": "2"], .power, at: 9), "not yet submitted")
  }

  @Test func rollbackAndResurrectionAreFound() {
    done([put("a", "1")], 1, .durable, at: 0)
    done([put("a", "2")], 2, .durable, at: 10)
    done([delete("a")], 3, .durable, at: 20)
    #expect(rejects("rollback", ["a": "1"], .power, at: 11))
    #expect(rejects("resurrection", ["a": "2"], .power, at: 21))
    #expect(accepts(["a": "2"], .power, at: 20))
    #expect(accepts([:], .power, at: 20))
    #expect(rejects("loss", [:], .power, at: 19))
  }

  @Test func halfABatchIsFound() {
    done([put("a", "1"), put("b", "1")], 1, .durable, at: 0)
    done([put("a", "2"), put("b", "2"), put("c", "2")], 2, .buffered, at: 10)
    #expect(rejects("batch", ["a": "2", "b": "1", "c": "2"], .power, at: 30))
    #expect(accepts(["a": "2", "b": "2", "c": "2"], .power, at: 30))
    #expect(accepts(["a": "1", "b": "1"], .power, at: 30))
    #expect(rejects("batch", ["a": "1"], .power, at: 0))
  }

  @Test func aHoleInTheStreamIsFound() {
    done([put("a", "1")], 1, .buffered, at: 0)
    done([put("b", "2")], 2, .buffered, at: 1)
    done([put("c", "3")], 3, .buffered, at: 2)
    for survivors in [[:], ["a": "1"], ["a": "1", "b": "2"], ["a": "1", "b": "2", "c": "3"]] {
      #expect(accepts(survivors, .power, at: 9))
    }
    #expect(rejects("hole", ["a": "1", "c": "3"], .power, at: 9))
    #expect(rejects("hole", ["b": "2"], .power, at: 9))
    // A durable operation vouches for everything before it.
    done([put("d", "4")], 4, .durable, at: 10)
    #expect(rejects("loss", ["a": "1", "c": "3", "d": "4"], .power, at: 20))
  }

  @Test func aSyncLiftsWhatWasAcknowledged() {
    done([put("a", "1")], 1, .buffered, at: 0)
    let sync = oracle.beginSync(eventCount: 5)
    done([put("b", "2")], 2, .buffered, at: 6)
    #expect(accepts([:], .power, at: 20))
    oracle.acknowledge(sync, sequence: nil, eventCount: 8)
    #expect(accepts([:], .power, at: 7))
    #expect(rejects("loss", [:], .power, at: 8))
    #expect(accepts(["a": "1"], .power, at: 8))
    let failed = oracle.beginSync(eventCount: 9)
    oracle.lose(failed, eventCount: 9)
    #expect(accepts(["a": "1"], .kill, at: 9))
    #expect(rejects("loss", [:], .kill, at: 9))
  }

  @Test func aDeleteOfNothingPromisesTheAbsenceItSaw() {
    done([put("a", "1")], 1, .durable, at: 0)
    done([delete("a")], 2, .buffered, at: 2)
    #expect(accepts(["a": "1"], .power, at: 4))
    done([delete("a")], nil, .durable, at: 4)
    #expect(accepts([:], .power, at: 5))
    #expect(rejects("resurrection", ["a": "1"], .power, at: 5))
  }

  @Test func refusedOperationsNeverShow() {
    done([put("a", "1")], 1, .durable, at: 0)
    oracle.refuse(oracle.begin([put("a", "2")], level: .durable, eventCount: 2), eventCount: 3)
    #expect(accepts(["a": "1"], .power, at: 9))
    #expect(rejects("invention", ["a": "2"], .power, at: 9))
    #expect(oracle.contents == [bytes("a"): bytes("1")])
  }

  @Test func aRefusalVouchesForWhatStoodInTheWay() {
    done([put("a", "1")], 1, .buffered, at: 0)
    let refused = oracle.begin([put("a", "2")], level: .durable, eventCount: 2)
    oracle.refuse(refused, standing: 1, eventCount: 3)
    #expect(accepts([:], .power, at: 2))
    #expect(rejects("loss", [:], .power, at: 3))
    #expect(rejects("invention", ["a": "2"], .power, at: 3))
  }

  @Test func anOracleMayStartFromContents() {
    let later = Oracle(contents: [bytes("a"): bytes("1")])
    #expect(!later.check(recovered: [:], crash: .power, eventIndex: 0).isEmpty)
    #expect(later.contents == [bytes("a"): bytes("1")])
    let ticket = later.begin([put("a", "2")], level: .durable, eventCount: 0)
    later.acknowledge(ticket, sequence: 9, eventCount: 1)
    #expect(
      later.check(recovered: [bytes("a"): bytes("2")], crash: .power, eventIndex: 1).isEmpty)
  }

  @Test func whatTheStoreLostSightOfMayShowOrNot() {
    done([put("a", "1")], 1, .durable, at: 0)
    let lost = oracle.begin(
      [put("a", "2"), put("b", "2")], level: .durable, eventCount: 2)
    oracle.lose(lost, eventCount: 3)
    #expect(accepts(["a": "1"], .power, at: 9))
    #expect(accepts(["a": "2", "b": "2"], .power, at: 9))
    #expect(!accepts(["a": "2"], .power, at: 9), "half of it")
    #expect(!accepts(["b": "2"], .power, at: 9), "nothing at all of a")
    // It began before this one: so if it happened, it happened earlier.
    done([put("a", "3")], 5, .durable, at: 10)
    #expect(accepts(["a": "3"], .power, at: 20))
    #expect(accepts(["a": "3", "b": "2"], .power, at: 20))
    #expect(!accepts(["a": "2", "b": "2"], .power, at: 20))
  }

  @Test func overlappingOperationsInFlightMayEachShow() {
    done([put("k", "0")], 1, .durable, at: 0)
    _ = oracle.begin([put("k", "1")], level: .durable, eventCount: 2)
    _ = oracle.begin([put("l", "2")], level: .durable, eventCount: 2)
    for survivors in [["k": "0"], ["k": "1"], ["k": "0", "l": "2"], ["k": "1", "l": "2"]] {
      #expect(accepts(survivors, .kill, at: 5))
    }
    #expect(!accepts(["l": "2"], .kill, at: 5))
  }

  @Test func everyMutationOfACorrectRecoveryIsCaught() {
    // Operations with unique values on three keys; the state after any prefix is right, and with
    // any single key changed to any other version it is right only if it is another prefix's.
    var random = SeededGenerator(seed: 42)
    var states: [[String: String]] = [[:]]
    for sequence in 1...16 {
      var state = states[sequence - 1]
      let key = "k\(random.below(3))"
      let isDelete = state[key] != nil && random.once(in: 4)
      done(
        [isDelete ? delete(key) : put(key, "v\(sequence)")], UInt64(sequence), .buffered,
        at: sequence)
      state[key] = isDelete ? nil : "v\(sequence)"
      states.append(state)
    }
    let right = Set(states)
    for state in states {
      #expect(accepts(state, .power, at: 100))
      for key in 0..<3 {
        for value in [nil] + (1...40).map({ Optional("v\($0)") }) {
          var mutated = state
          mutated["k\(key)"] = value
          #expect(accepts(mutated, .power, at: 100) == right.contains(mutated), "\(mutated)")
        }
      }
    }
  }
}
