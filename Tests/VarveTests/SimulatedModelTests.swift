import Testing
import Varve

@testable import VarveTesting

/// The store against a dictionary: seeded histories with reopening, on a RAM device.
@Suite struct SimulatedModelTests {
  private struct Model {
    var store: Store
    var device: RAMDevice
    var contents: [[UInt8]: [UInt8]] = [:]
    var sequence: UInt64 = 0
    var random: SeededGenerator

    mutating func key() -> [UInt8] {
      let number = random.below(40)
      return Array("k\(number)".utf8) + [UInt8](repeating: UInt8(number), count: number * 20)
    }

    mutating func value() -> [UInt8] {
      let byteCount = [0, 1, 30, 500, 3900, 4200, 9000][random.below(7)]
      // Half of them compress.
      return random.once(in: 2)
        ? [UInt8](repeating: UInt8(random.below(256)), count: byteCount) : random.bytes(byteCount)
    }

    mutating func durability() -> Durability { Durability.allCases[random.below(3)] }

    mutating func advance(to next: UInt64) {
      #expect(next > sequence, "sequence numbers grow")
      sequence = next
    }

    mutating func step() async throws {
      let key = key()
      switch random.below(12) {
      case 0..<4:
        let value = value()
        advance(to: try await store.put(key, value, durability: durability()))
        contents[key] = value
      case 4, 5:
        let next = try await store.delete(key, durability: durability())
        #expect((next != nil) == (contents[key] != nil))
        if let next { advance(to: next) }
        contents[key] = nil
      case 6: try await batch()
      case 7: try await conditional(key)
      case 8:
        let keys = (0..<10).map { _ in self.key() }
        #expect(try await store.multiGet(keys).map { $0?.value } == keys.map { contents[$0] })
      case 9: #expect(try await store.contains(key) == (contents[key] != nil))
      default: #expect(try await store.get(key)?.value == contents[key])
      }
    }

    private mutating func batch() async throws {
      var batch = Batch()
      var after = contents
      for _ in 0..<random.below(6) + 1 {
        let key = key()
        if random.once(in: 3) {
          batch.delete(key)
          after[key] = nil
        } else {
          let value = [UInt8](value().prefix(1000))
          batch.put(key, value)
          after[key] = value
        }
      }
      // A batch of deletes of absent keys may write nothing.
      switch try await store.write(batch, durability: durability()) {
      case .applied(let last):
        #expect(last >= sequence)
        sequence = last
        contents = after
      case .refused: Issue.record("a batch without conditions was refused")
      }
    }

    private mutating func conditional(_ key: [UInt8]) async throws {
      let current = try await store.get(key)
      #expect(current?.value == contents[key])
      let value = value()
      let condition: WriteCondition =
        random.once(in: 2) ? .ifAbsent : .ifSequence(current?.sequence ?? 7)
      let mustApply = condition == .ifAbsent ? current == nil : current != nil
      switch try await store.put(key, value, condition: condition, durability: durability()) {
      case .applied(let next):
        #expect(mustApply)
        advance(to: next)
        contents[key] = value
      case .refused(let standing):
        #expect(!mustApply)
        #expect(standing == current?.sequence)
      }
    }

    /// Closes and opens, or kills after a sync and opens.
    mutating func reopen() async throws {
      let isKill = random.once(in: 2)
      if isKill { try await store.sync() } else { try await store.close() }
      let next = device.copy()
      if isKill { try await store.close() }
      device = next
      store = try await Store.open(device: next, options: TestingStore.options)
      #expect(store.recoveryReport.outcome == (isKill ? .recovered : .clean))
    }

    func compare() async throws {
      #expect(try await Harness.contents(store) == contents)
      // A superseded tombstone counts until its successor is durable.
      try await store.sync()
      #expect(store.statistics.keyCount == contents.count)
    }
  }

  @Test(arguments: Harness.seeds(1...6)) func histories(seed: UInt64) async throws {
    let testing = try await TestingStore(
      byteCount: 8 << 20, segmentByteCount: seed % 2 == 0 ? 32 << 10 : 128 << 10)
    var model = Model(
      store: testing.store, device: testing.device, random: SeededGenerator(seed: seed))
    for round in 0..<(Harness.isLong ? 12 : 4) {
      do {
        for _ in 0..<60 { try await model.step() }
        try await model.compare()
        if model.random.once(in: 3) { try await model.store.checkpoint() }
        try await model.reopen()
        try await model.compare()
      } catch {
        Issue.record("seed \(seed), round \(round): \(error)")
        return
      }
    }
    try await model.store.close()
  }

  @Test func aTestingStoreReopens() async throws {
    let first = try await TestingStore()
    try await first.store.put("cart:17", "3 apples")
    let second = try await first.reopenedAsIs()
    #expect(try await second.store.get("cart:17")?.value == Array("3 apples".utf8))
    try await second.store.put("cart:17", "none")
    #expect(try await first.store.get("cart:17")?.value == Array("3 apples".utf8))
    let third = try await second.reopened()
    #expect(third.store.recoveryReport.outcome == .clean)
    #expect(try await third.store.get("cart:17")?.value == Array("none".utf8))
    try await third.store.close()
    try await first.store.close()
  }
}
