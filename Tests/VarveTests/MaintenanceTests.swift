import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// What the maintenance task owes to those who race it, and to the store when its own writes fail.
@Suite(.serialized) struct MaintenanceTests {
  private func openStore() async throws -> (
    store: Store, device: GateDevice, superblock: Superblock
  ) {
    let medium = RAMDevice(byteCount: 2 << 20, delivery: .inline)
    try await Store.format(
      device: medium, options: FormatOptions(segmentByteCount: Harness.segmentByteCount))
    let page = medium.image.read(at: 0, byteCount: 4096)
    let superblock = try Superblock(decoding: page.span.bytes, at: PageIndex(0))
    let device = GateDevice(medium.image)
    var options = Harness.options
    options.compression = false
    return (try await Store.open(device: device, options: options), device, superblock)
  }

  private func reopen(_ device: GateDevice) async throws -> Store {
    try await Harness.open(RAMDevice(image: device.medium.image, delivery: .background))
  }

  /// A checkpoint that is asked for while the store closes is made or refused, never forgotten.
  @Test func checkpointsThatRaceACloseAreAnswered() async throws {
    for round in 0..<30 {
      let (store, _, _) = try await openStore()
      try await store.put("a", "a", durability: .buffered)
      let answers = await withTaskGroup(of: StoreError.Code?.self) { group in
        for task in 0..<6 {
          group.addTask {
            await API.code { task == 3 ? try await store.close() : try await store.checkpoint() }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.allSatisfy { $0 == nil || $0 == .closed }, "round \(round): \(answers)")
    }
  }

  /// A checkpoint is only a cache: one whose root cannot be written costs nothing but itself.
  @Test func aCheckpointWhoseRootCannotBeWrittenIsGivenUp() async throws {
    let (store, device, superblock) = try await openStore()
    try await store.put("a", "a", durability: .buffered)
    let failureCount = SharedCount()
    device.install { request in
      guard request.operation == .write, let memory = unsafe request.memory else { return .pass }
      // SAFETY: the request lends its memory until it is completed.
      let bytes = unsafe RawSpan(_unsafeStart: memory, byteCount: request.byteCount)
      guard (try? PageHeader.peek(bytes, uuid: superblock.uuid))?.kind == .checkpoint else {
        return .pass
      }
      failureCount.add(1)
      return .fail
    }
    while !store.core.log.hasSegmentForPuts { await Task.yield() }
    let freeCount = store.statistics.freeSegmentCount
    try await store.checkpoint()
    #expect(failureCount.value == 1)
    #expect(store.health == .healthy && store.statistics.freeSegmentCount == freeCount)
    try await store.put("b", "b")
    try await store.close()
    let reopened = try await reopen(device)
    #expect(!reopened.recoveryReport.usedCheckpoint)
    #expect(try await reopened.get("a")?.text == "a")
    #expect(try await reopened.get("b")?.text == "b")
    try await reopened.close()
  }

  /// Where neither copy of one half of the superblock can be written, the other half stays whole.
  @Test func aHalfOfTheSuperblockThatCannotBeWrittenPoisons() async throws {
    let (store, device, superblock) = try await openStore()
    try await store.put("a", "a")
    let half = [0, 2].map { superblock.geometry.superblockPage(copy: $0).rawValue * 4096 }
    let otherHalf = [1, 3].map { superblock.geometry.superblockPage(copy: $0).rawValue * 4096 }
    let laterWriteCount = SharedCount()
    device.install { request in
      guard request.operation == .write else { return .pass }
      if otherHalf.contains(request.byteOffset) { laterWriteCount.add(1) }
      return half.contains(request.byteOffset) ? .fail : .pass
    }
    #expect(await API.code { try await store.checkpoint() } == .poisoned)
    #expect(store.health == .poisoned && laterWriteCount.value == 0)
    #expect(try await store.get("a")?.text == "a")
    // Whoever closes learns the same.
    let first = await API.code { try await store.close() }
    let second = await API.code { try await store.close() }
    #expect(first != nil && first == second)
    let reopened = try await reopen(device)
    #expect(try await reopened.get("a")?.text == "a")
    try await reopened.close()
  }

  /// Deletes of everything in the order of the writes, each durable alone, all succeed at "full":
  /// one waits for segments that are being freed before it is refused.
  @Test func aFullStoreTakesEveryDeleteOneByOne() async throws {
    for round in 0..<8 {
      let (store, _, _) = try await openStore()
      let value = [UInt8](repeating: 1, count: 3000)
      var count = 0
      while await API.code({ try await store.put("\(count)", value) }) == nil { count += 1 }
      // The health follows the refusal by a moment.
      while store.health != .full { await Task.yield() }
      for number in 0..<count {
        let code = await API.code { _ = try await store.delete("\(number)") }
        #expect(code == nil, "round \(round), delete \(number) of \(count)")
      }
      try await store.close()
    }
  }

  /// The TTL clock's mark is a high-water mark: a wall clock that is set back changes nothing of
  /// what is stored.
  @Test func theStoredClockNeverGoesBack() async throws {
    let medium = RAMDevice(byteCount: 2 << 20, delivery: .background)
    var environment = StoreEnvironment()
    environment.wallMilliseconds = { 5_000_000 }
    environment.monotonicNanoseconds = { 0 }
    try await Store.format(device: medium, options: FormatOptions(), environment: environment)
    for wall in [9_000_000, 1_000_000] as [UInt64] {
      environment.wallMilliseconds = { wall }
      let device = RAMDevice(image: medium.image, delivery: .background)
      let store = try await Store.open(
        device: device, options: Harness.options, environment: environment)
      try await store.put("a", "\(wall)", expiry: .after(.seconds(60)))
      try await store.close()
      let page = device.image.read(at: 0, byteCount: 4096)
      let superblock = try Superblock(decoding: page.span.bytes, at: PageIndex(0))
      #expect(superblock.clockMilliseconds == max(wall, 5_000_000))
    }
  }
}
