import Testing
import Varve
import VarveIO
import VarveTesting

/// Every way to bring a key and a value says the same, none is ambiguous, and what is public can
/// be sent to any task.
@Suite struct APIOverloadTests {
  private let bytes: [UInt8] = [107]
  private let text = "k"
  private let value = VersionedValue(value: [118], sequence: 0)

  @Test func everyPutSetsTheSameValue() async throws {
    let store = try await TestingStore().store
    let (key, value) = (bytes, value.value)
    var sequence = store.statistics.lastSequence
    func check(_ put: () async throws -> UInt64) async throws {
      sequence += 1
      #expect(try await put() == sequence)
      #expect(try await store.get(text) == VersionedValue(value: value, sequence: sequence))
      sequence += 1
      #expect(try await store.delete(text) == sequence)
    }
    try await check { try await store.put(key.span.bytes, value.span.bytes) }
    try await check { try await store.put(key.span.bytes, value) }
    try await check { try await store.put(key.span.bytes, "v") }
    try await check { try await store.put(key, value.span.bytes) }
    try await check { try await store.put(key, value) }
    try await check { try await store.put(key, "v") }
    try await check { try await store.put(text, value.span.bytes) }
    try await check { try await store.put(text, value) }
    try await check { try await store.put(text, "v") }
    try await check { try await store.put([107], [118]) }
    try await check { try await store.put("k", [118], durability: .written) }
    try await store.close()
  }

  @Test func everyConditionalPutSetsTheSameValue() async throws {
    let store = try await TestingStore().store
    let (key, value) = (bytes, value.value)
    func check(_ put: () async throws -> WriteOutcome) async throws {
      #expect(try await put().isApplied)
      #expect(try await store.get(text)?.value == value)
      #expect(try await put() == .refused(currentSequence: store.statistics.lastSequence))
      try await store.delete(text)
    }
    let absent = WriteCondition.ifAbsent
    try await check { try await store.put(key.span.bytes, value.span.bytes, condition: absent) }
    try await check { try await store.put(key.span.bytes, value, condition: absent) }
    try await check { try await store.put(key.span.bytes, "v", condition: absent) }
    try await check { try await store.put(key, value.span.bytes, condition: absent) }
    try await check { try await store.put(key, value, condition: absent) }
    try await check { try await store.put(key, "v", condition: absent) }
    try await check { try await store.put(text, value.span.bytes, condition: absent) }
    try await check { try await store.put(text, value, condition: absent) }
    try await check { try await store.put(text, "v", condition: absent) }
    #expect(try await store.put("k", "v", condition: .always).isApplied)
    try await store.close()
  }

  @Test func everyReadDeleteAndUpdateMeansTheSameKey() async throws {
    let store = try await TestingStore().store
    let (key, value) = (bytes, value.value)
    let first = try await store.put(key, value)
    for found in [
      try await store.get(key.span.bytes), try await store.get(key), try await store.get(text),
    ] {
      #expect(found == VersionedValue(value: value, sequence: first))
      #expect(found?.text == "v")
    }
    #expect(try await store.contains(key.span.bytes))
    #expect(try await store.contains(key))
    #expect(try await store.contains(text))
    #expect(try await store.withValue(for: key.span.bytes) { $0.byteCount + Int($1 - first) } == 1)
    #expect(try await store.withValue(for: key) { value, _ in value.byteCount } == 1)
    #expect(try await store.withValue(for: text) { value, _ in value.byteCount } == 1)
    #expect(try await store.withValue(for: "x") { value, _ in value.byteCount } == nil)
    #expect(try await store.multiGet([key]) == (try await store.multiGet([text])))
    try await store.update(key.span.bytes) { .put(($0?.value ?? []) + [49]) }
    try await store.update(key) { .put(($0?.text ?? "") + "2") }
    try await store.update(text) { .put(($0?.text ?? "") + "3") }
    #expect(try await store.get(text)?.text == "v123")
    #expect(try await store.delete(key.span.bytes) != nil)
    #expect(try await store.delete(key) == nil)
    #expect(try await store.delete(text) == nil)
    for number in 0..<3 {
      let sequence = try await store.put(key, value)
      let condition = WriteCondition.ifSequence(sequence)
      let outcome =
        switch number {
        case 0: try await store.delete(key.span.bytes, condition: condition)
        case 1: try await store.delete(key, condition: condition)
        default: try await store.delete(text, condition: condition)
        }
      #expect(outcome == .applied(sequence: sequence + 1))
    }
    try await store.close()
  }

  @Test func everyOperationOfABatch() async throws {
    let store = try await TestingStore().store
    let value = value.value
    let names = (0..<9 as Range<UInt8>).map { [$0] }
    func name(_ number: Int) -> String { String(decoding: names[number], as: UTF8.self) }
    let (first, second, third) = (names[0], names[1], names[2])
    var batch = Batch()
    batch.put(first.span.bytes, value.span.bytes)
    batch.put(second.span.bytes, value)
    batch.put(third.span.bytes, "v")
    batch.put(names[3], value.span.bytes)
    batch.put(names[4], value)
    batch.put(names[5], "v")
    batch.put(name(6), value.span.bytes)
    batch.put(name(7), value)
    batch.put(name(8), "v", condition: .ifAbsent)
    #expect(try await store.write(batch).isApplied)
    #expect(try await store.multiGet(names).allSatisfy { $0?.value == value })
    var deletes = Batch()
    deletes.delete(first.span.bytes)
    deletes.delete(names[1])
    deletes.delete(name(2), condition: .always)
    #expect(try await store.write(deletes).isApplied)
    #expect(store.statistics.keyCount == 6)
    try await store.close()
  }

  @Test func valuesThatAreNoTextHaveNone() {
    #expect(VersionedValue(value: [0xff], sequence: 1).text == nil)
    #expect(VersionedValue(value: [], sequence: 1).text == "")
    #expect(VersionedValue(value: Array("é".utf8), sequence: 1).text == "é")
  }

  /// Fails to compile where something public cannot be sent.
  @Test func everythingPublicIsSendable() {
    func require(_ types: any Sendable.Type...) -> Int { types.count }
    #expect(
      require(
        Store.self, StoreOptions.self, FormatOptions.self, StoreError.self, StoreError.Code.self,
        Batch.self, Durability.self, WriteCondition.self, WriteOutcome.self, BatchOutcome.self,
        VersionedValue.self, Record.self, Records.self, Records.Iterator.self, StoreHealth.self,
        StoreEvent.self, StoreInfo.self, StoreStatistics.self, RecoveryOutcome.self,
        RecoveryReport.self, RecoveryProgress.self, RecoveryPlan.self, IOEngineChoice.self,
        StoreEnvironment.self, Store.Update.self, AsyncStream<StoreEvent>.self) == 26)
  }
}
