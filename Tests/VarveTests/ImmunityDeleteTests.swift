import Testing
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Bugs of deletes and of ending that other stores shipped, by their number in Tests/IMMUNITY.md.
@Suite struct ImmunityDeleteTests {
  @Test func bug1ADeleteOutlivesTheSegmentsBehindIt() async throws {
    let (store, device) = try await Immunity.store()
    try await store.put("k", "v")
    // Keeps the first segment alive, and with it the old value of k.
    try await store.put("keep", "v")
    try await store.put("fill", Immunity.filler)
    try await store.delete("k")
    // The segments with the tombstone are overwritten, freed and used again.
    for _ in 0..<100 { try await store.put("fill", Immunity.filler) }
    #expect(store.statistics.freedSegmentCount > 10)
    let (killed, _) = try await Immunity.killed(device)
    #expect(try await killed.get("k") == nil)
    #expect(try await killed.get("keep") != nil)
    try await killed.close()
    try await store.close()
  }

  @Test func bug2And3AKeyThatIsDeletedAndPutStaysAsItWasLeft() async throws {
    let (store, device) = try await Immunity.store()
    for round in 0..<60 {
      try await store.put("k", Immunity.filler)
      try await store.delete("k")
      if round % 20 == 19 {
        let (killed, _) = try await Immunity.killed(device)
        #expect(try await killed.get("k") == nil, "round \(round)")
        try await killed.close()
      }
    }
    try await store.close()
  }

  @Test func bug10DeletedAndMadeAgainInOneBatch() async throws {
    let (store, device) = try await Immunity.store()
    try await store.put("k", "old")
    var batch = Batch()
    batch.delete("k")
    batch.put("k", "new")
    _ = try await store.write(batch)
    let (killed, _) = try await Immunity.killed(device)
    #expect(try await killed.get("k")?.value == Array("new".utf8))
    try await killed.close()
    try await store.close()
  }

  @Test func bug11APutBehindATombstoneWhoseWriteFailed() async throws {
    let (observed, device) = try await Harness.observed(seed: 11)
    let key = Array("k".utf8)
    try await observed.put(key, Array("old".utf8))
    device.install(FaultPlan(seed: 11).failing(.write, .once(0)))
    async let removal = observed.store.delete(key, durability: .written)
    _ = try await removal
    try await observed.store.put(key, Array("new".utf8))
    let recovered = try await Harness.open(RAMDevice(image: device.durable, delivery: .inline))
    #expect(try await recovered.get(key)?.value == Array("new".utf8))
    try await recovered.close()
    try await observed.store.close()
  }

  @Test func bug13DeletingEverythingGivesTheSpaceBack() async throws {
    let (store, device) = try await Immunity.store()
    for round in 0..<4 {
      for number in 0..<40 { try await store.put(Array("k\(number)".utf8), Immunity.filler) }
      for number in 0..<40 { try await store.delete(Array("k\(number)".utf8)) }
      #expect(store.statistics.keyCount == 0, "round \(round)")
    }
    try await store.compact()
    #expect(store.statistics.tombstoneCount < 40)
    let (killed, _) = try await Immunity.killed(device)
    #expect(try await Harness.contents(killed).isEmpty)
    for number in 0..<40 { try await killed.put(Array("k\(number)".utf8), Immunity.filler) }
    try await killed.close()
    try await store.close()
  }

  @Test func bug34FullAtTheCrashAndSpaceAfterwards() async throws {
    let (store, device) = try await Immunity.store()
    var count = 0
    while await API.code({ try await store.put(Array("k\(count)".utf8), Immunity.filler) }) == nil {
      count += 1
      guard count < 1000 else { break }
    }
    #expect((10..<1000).contains(count))
    let (killed, _) = try await Immunity.killed(device)
    #expect(try await Harness.contents(killed).count == count)
    for number in 0..<count { try await killed.delete(Array("k\(number)".utf8)) }
    for number in 0..<10 { try await killed.put(Array("n\(number)".utf8), Immunity.filler) }
    #expect(killed.health == .healthy)
    try await killed.close()
    try await store.close()
  }

  @Test func bug35CloseRacesTheLastFlush() async throws {
    for round in 0..<20 {
      let (observed, device) = try await Harness.observed(seed: UInt64(350 + round))
      await withTaskGroup(of: Void.self) { group in
        for client in 0..<4 {
          group.addTask {
            for number in 0..<6 {
              // After the close: refused, which the oracle learns.
              _ = try? await observed.put(
                Array("k\(client)".utf8), Array("\(round)-\(number)".utf8),
                durability: number % 2 == 0 ? .buffered : .durable)
            }
          }
        }
        group.addTask { try? await observed.close() }
      }
      let recovered = try await Harness.open(RAMDevice(image: device.durable, delivery: .inline))
      let contents = try await Harness.contents(recovered)
      #expect(contents == observed.oracle.contents, "round \(round)")
      #expect(recovered.recoveryReport.outcome == .clean)
      try await recovered.close()
    }
  }
}
