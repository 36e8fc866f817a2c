import Testing
import Varve
import VarveTesting

/// That the whole API compiles and works from an actor, whose state the closures change, and from
/// the main actor.
@Suite struct APIIsolationTests {
  private actor Client {
    let store: Store
    var seenByteCount = 0
    var attemptCount = 0
    var keys: [[UInt8]] = []

    init(_ store: Store) { self.store = store }

    func useEverything() async throws {
      let key: [UInt8] = [1, 2, 3]
      let first = try await store.put("a", "1")
      try await store.put("b", [2, 2])
      try await store.put(key, [3, 3, 3], durability: .buffered)
      #expect(try await store.get("a")?.sequence == first)
      #expect(try await store.get(key)?.value == [3, 3, 3])
      #expect(try await store.contains("a"))
      let sequence = try await store.withValue(for: "b") { value, sequence in
        seenByteCount += value.byteCount
        return sequence
      }
      #expect(sequence == first + 1)
      try await store.withValue(for: key) { value, _ in seenByteCount += value.byteCount }
      #expect(seenByteCount == 5)
      try await store.update("a") { current in
        attemptCount += 1
        return .put((current?.value ?? []) + [0x31])
      }
      #expect(attemptCount == 1)
      let refused = try await store.put(key, [], condition: .ifAbsent)
      #expect(refused == .refused(currentSequence: first + 2))
      var batch = Batch()
      batch.put("c", "3")
      batch.delete("b")
      #expect(try await store.write(batch).isApplied)
      for try await record in store.records { keys.append(record.key) }
      #expect(Set(keys) == [API.bytes("a"), API.bytes("c"), key])
      #expect(keys.count == 3)
      #expect(try await store.multiGet(["a", "b"]).map { $0?.value } == [API.bytes("11"), nil])
      #expect(try await store.delete("a") != nil)
      try await store.sync()
      try await store.checkpoint()
      #expect(store.statistics.keyCount == 2)
      try await store.close()
    }
  }

  @Test func fromAnActor() async throws {
    try await Client(try await TestingStore().store).useEverything()
  }

  @MainActor private final class View {
    var seenByteCount = 0
    var keyCount = 0
  }

  @MainActor @Test func fromTheMainActor() async throws {
    let store = try await TestingStore().store
    let view = View()
    let key: [UInt8] = [1]
    let first = try await store.put("a", "1")
    try await store.put(key, [2, 2], durability: .written)
    #expect(try await store.get("a") == VersionedValue(value: [0x31], sequence: first))
    try await store.withValue(for: key) { value, _ in view.seenByteCount += value.byteCount }
    #expect(view.seenByteCount == 2)
    try await store.update(key) { current in
      view.seenByteCount += current?.value.count ?? 0
      return .delete
    }
    #expect(view.seenByteCount == 4)
    #expect(try await store.contains(key) == false)
    var batch = Batch()
    batch.put("b", "2", condition: .ifAbsent)
    #expect(try await store.write(batch) == .applied(lastSequence: first + 3))
    for try await _ in store.records { view.keyCount += 1 }
    #expect(view.keyCount == 2)
    #expect(try await store.multiGet(["a", "x"]).map { $0 != nil } == [true, false])
    try await store.delete("a")
    try await store.sync()
    try await store.checkpoint()
    try await store.close()
  }

  @Test func fromManyTasksWithBorrowedBytes() async throws {
    let store = try await TestingStore().store
    try await withThrowingTaskGroup(of: UInt64.self) { group in
      for number in 0..<32 as Range<UInt8> {
        group.addTask {
          let bytes = [number, number]
          let sequence = try await store.put(bytes.span.bytes, bytes.span.bytes)
          let found = try await store.get(bytes.span.bytes)
          #expect(found == VersionedValue(value: bytes, sequence: sequence))
          if number % 2 == 0 { _ = try await store.delete(bytes.span.bytes) }
          return sequence
        }
      }
      var sequences: Set<UInt64> = []
      for try await sequence in group { sequences.insert(sequence) }
      #expect(sequences.count == 32)
    }
    #expect(store.statistics.keyCount == 16)
    try await store.close()
  }
}
