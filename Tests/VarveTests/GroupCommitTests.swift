import Testing
import VarveIO

@testable import Varve
@testable import VarveTesting

/// How writers gather into frames.
@Suite struct GroupCommitTests {
  /// Writers that come while a flush is in flight share the next one, and its frame.
  @Test func writersShareFlushes() async throws {
    try await withStore(on: try await API.formatted()) { store, device, before in
      device.hold([.flush])
      let puts = (0..<64).map { number in Task { try await store.put("\(number)", "1") } }
      await API.until { store.statistics.lastSequence == before.lastSequence + 64 }
      device.release()
      for put in puts { _ = try await put.value }
      #expect(store.statistics.flushCount == before.flushCount + 2)
      #expect(store.statistics.frameCount == before.frameCount + 2)
    }
  }

  /// Writers that come one by one while a flush is in flight share a frame, also where the log
  /// looks idle between any two of them.
  @Test func aGroupGathersThroughIdleTicks() async throws {
    let medium = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let device = HoldingDevice(medium)
    let store = try await Harness.open(device)
    let log = store.core.log
    try await store.put("first", "1")
    await API.until { !log.hasQuietWork }
    device.hold([.flush])
    let before = store.statistics
    var puts: [Task<UInt64, any Error>] = []
    for number in 1...8 {
      puts.append(try await start(number, in: store))
      log.quiet(ifActivityCountIs: log.activityCount)
    }
    #expect(store.statistics.frameCount == before.frameCount + 1)
    device.release()
    for put in puts { _ = try await put.value }
    #expect(store.statistics.flushCount == before.flushCount + 2)
    try await store.close()
  }

  /// A group that gathers behind a frame's write goes on gathering behind the flush that follows.
  @Test func aGroupGathersFromTheWriteThroughTheFlush() async throws {
    let medium = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    try await withStore(on: medium) { store, device, before in
      device.hold([.write, .flush])
      var puts = [try await start(1, in: store)]
      puts.append(try await start(2, in: store))
      await API.until { device.heldCount == 1 }
      device.hold([.flush])
      device.releaseHeld()
      puts.append(try await start(3, in: store))
      #expect(store.statistics.frameCount == before.frameCount + 1)
      device.release()
      for put in puts { _ = try await put.value }
      #expect(store.statistics.frameCount == before.frameCount + 2)
    }
  }

  /// A commit whose write is done but that waits for the frame before it is still in flight.
  @Test func aGroupGathersBehindACommitWithAGapBeforeIt() async throws {
    let medium = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    try await withStore(on: medium) { store, device, before in
      device.hold([.write, .writeDurably])
      // The watermark, for which nobody waits.
      let log = store.core.log
      log.quiet(ifActivityCountIs: log.activityCount)
      var puts = [try await start(1, in: store)]
      await API.until { device.heldCount == 2 }
      device.releaseLastHeld()
      puts.append(try await start(2, in: store))
      puts.append(try await start(3, in: store))
      #expect(store.statistics.frameCount == before.frameCount + 2)
      device.release()
      for put in puts { _ = try await put.value }
      #expect(store.statistics.frameCount == before.frameCount + 3)
    }
  }

  /// A store that does not notice that it is idle, and what it had counted when its log had a
  /// segment, for which no write waits from there on.
  private func withStore(
    on medium: RAMDevice,
    _ body: (Store, HoldingDevice, _ before: StoreStatistics) async throws -> Void
  ) async throws {
    let idle = IdleGate()
    let device = HoldingDevice(medium)
    let store = try await idle.openStore(device)
    try await store.put("first", "1")
    try await body(store, device, store.statistics)
    idle.open()
    try await store.close()
  }

  /// Begins a durable put and waits until it is in the log.
  private func start(_ number: Int, in store: Store) async throws -> Task<UInt64, any Error> {
    let before = store.statistics.lastSequence
    let put = Task { try await store.put("k\(number)", "value \(number)") }
    await API.until { store.statistics.lastSequence == before + 1 }
    return put
  }
}
