import Testing
import Varve
import VarveIO
import VarveTesting

/// Conditional writes, batches and the update loop.
@Suite struct APIConditionTests {
  @Test func aPutIfAbsent() async throws {
    let store = try await TestingStore().store
    let outcome = try await store.put("k", "1", condition: .ifAbsent)
    guard case .applied(let first) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(outcome.isApplied)
    let again = try await store.put("k", "2", condition: .ifAbsent)
    #expect(again == .refused(currentSequence: first))
    #expect(!again.isApplied)
    #expect(try await store.get("k") == VersionedValue(value: API.bytes("1"), sequence: first))
    try await store.delete("k")
    #expect(try await store.put("k", "3", condition: .ifAbsent).isApplied)
    try await store.close()
  }

  @Test(arguments: Durability.allCases)
  func aPutIfTheSequenceIs(durability: Durability) async throws {
    let store = try await TestingStore().store
    let first = try await store.put("k", "1", durability: durability)
    #expect(
      try await store.put("k", "2", condition: .ifSequence(first + 1), durability: durability)
        == .refused(currentSequence: first))
    #expect(
      try await store.put("k", "2", condition: .ifSequence(first), durability: durability)
        == .applied(sequence: first + 1))
    #expect(
      try await store.put("k", "3", condition: .ifSequence(first), durability: durability)
        == .refused(currentSequence: first + 1))
    #expect(
      try await store.put("x", "1", condition: .ifSequence(first), durability: durability)
        == .refused(currentSequence: nil))
    #expect(try await store.get("k")?.value == API.bytes("2"))
    #expect(try await store.get("x") == nil)
    try await store.close()
  }

  @Test func aDeleteWithACondition() async throws {
    let store = try await TestingStore().store
    let key = API.bytes("k")
    #expect(
      try await store.delete(key, condition: .ifSequence(1)) == .refused(currentSequence: nil))
    let first = try await store.put("k", "1")
    #expect(
      try await store.delete(key, condition: .ifSequence(first + 1))
        == .refused(currentSequence: first))
    #expect(
      try await store.delete(key, condition: .ifAbsent) == .refused(currentSequence: first))
    #expect(
      try await store.delete(key, condition: .ifSequence(first))
        == .applied(sequence: first + 1))
    #expect(try await store.get("k") == nil)
    try await store.close()
  }

  @Test func conditionsReadWhatLiesOnTheDevice() async throws {
    let testing = try await TestingStore()
    let first = try await testing.store.put("k", "1")
    let later = try await testing.reopened().store
    #expect(
      try await later.put("k", "2", condition: .ifAbsent) == .refused(currentSequence: first))
    #expect(try await later.put("k", "2", condition: .ifSequence(first)).isApplied)
    try await later.close()
  }

  /// A refusal at the durable level vouches for the record in the way.
  @Test func aRefusalWaitsForWhatStandsInTheWay() async throws {
    let device = HoldingDevice(try await API.formatted())
    let store = try await Store.open(device: device, options: TestingStore.options)
    try await store.put("first", "1")
    let standing = try await store.put("k", "1", durability: .buffered)
    device.hold([.flush])
    let task = Task { try await store.put("k", "2", condition: .ifAbsent) }
    await API.until { device.heldCount > 0 }
    #expect(store.statistics.durableSequence < standing)
    device.release()
    #expect(try await task.value == .refused(currentSequence: standing))
    #expect(store.statistics.durableSequence >= standing)
    try await store.close()
  }

  @Test func aBatchIsAppliedInOrder() async throws {
    let store = try await TestingStore().store
    try await store.put("old", "1")
    var batch = Batch()
    #expect(batch.isEmpty)
    batch.put("a", "1")
    batch.put("a", "2")
    batch.put("b", "1")
    batch.delete("b")
    batch.delete("old")
    batch.put("old", "2")
    #expect(batch.count == 6)
    let before = store.statistics.lastSequence
    #expect(try await store.write(batch) == .applied(lastSequence: before + 6))
    #expect(try await store.get("a")?.value == API.bytes("2"))
    #expect(try await store.get("b") == nil)
    #expect(try await store.get("old")?.value == API.bytes("2"))
    #expect(try await store.write(Batch()) == .applied(lastSequence: before + 6))
    let later = try await TestingStore().store
    #expect(try await later.write(Batch()).self == .applied(lastSequence: 0))
    try await later.close()
    try await store.close()
  }

  @Test func aBatchWithConditionsIsAllOrNothing() async throws {
    let testing = try await TestingStore()
    let store = testing.store
    let sequence = try await store.put("a", "1")
    var batch = Batch()
    batch.put("b", "1")
    batch.put("a", "2", condition: .ifSequence(sequence))
    batch.put("c", "1", condition: .ifAbsent)
    batch.delete("a", condition: .ifSequence(sequence + 7))
    #expect(try await store.write(batch) == .refused(operationIndex: 3))
    let sequences = try await store.multiGet(["a", "b", "c"]).map { $0?.sequence }
    #expect(sequences == [sequence, nil, nil])
    #expect(store.statistics.lastSequence == sequence)
    var right = Batch()
    // Conditions are judged against the state before the batch.
    right.put("a", "2", condition: .ifSequence(sequence))
    right.delete("a", condition: .ifSequence(sequence))
    right.put("c", "1", condition: .ifAbsent)
    right.put("c", "2", condition: .ifAbsent)
    #expect(try await store.write(right) == .applied(lastSequence: sequence + 4))
    for store in [store, try await testing.reopened().store] where store !== testing.store {
      #expect(try await store.get("a") == nil)
      #expect(try await store.get("c")?.value == API.bytes("2"))
      try await store.close()
    }
  }

  @Test func racingConditionsHaveOneWinner() async throws {
    let store = try await TestingStore().store
    for round in 0..<20 {
      let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
        for contender in 0..<16 {
          group.addTask {
            var batch = Batch()
            batch.put("lock \(round)", "\(contender)", condition: .ifAbsent)
            batch.put("note \(round)", "\(contender)")
            return contender % 2 == 0
              ? try await store.write(batch, durability: .written).isApplied
              : try await store.put("lock \(round)", "\(contender)", condition: .ifAbsent).isApplied
          }
        }
        return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
      }
      #expect(winners == 1)
      let lock = try #require(try await store.get("lock \(round)"))
      if let note = try await store.get("note \(round)") {
        #expect(note.value == lock.value)
        #expect(note.sequence == lock.sequence + 1)
      }
    }
    try await store.close()
  }

  @Test(arguments: Durability.allCases)
  func aHundredTasksIncrementOneCounter(durability: Durability) async throws {
    let store = try await TestingStore().store
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<100 {
        group.addTask {
          try await store.update("n", durability: durability, maximumAttemptCount: 1000) {
            current in
            let count = current.flatMap { Int(String(decoding: $0.value, as: UTF8.self)) } ?? 0
            return .put(API.bytes("\(count + 1)"))
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await store.get("n")?.value == API.bytes("100"))
    #expect(store.statistics.putCount == 100)
    try await store.close()
  }

  @Test func anUpdateMayKeepDeleteOrGiveUp() async throws {
    let store = try await TestingStore().store
    let before = store.statistics.lastSequence
    #expect(try await store.update("n") { _ in .keep } == nil)
    #expect(try await store.update("n") { _ in .delete } == nil)
    #expect(store.statistics.lastSequence == before)
    #expect(try await store.update("n") { _ in .put([1]) } == before + 1)
    #expect(try await store.update("n") { _ in .delete } == before + 2)
    #expect(try await store.get("n") == nil)
    try await store.close()
  }
}
