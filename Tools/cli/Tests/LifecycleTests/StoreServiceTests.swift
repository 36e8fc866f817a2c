import Logging
import ServiceLifecycle
import ServiceLifecycleTestKit
import Testing
import Varve
import VarveIO
import VarveLifecycle
import VarveTesting

/// A user of a store that writes until it is shut down, and then once more.
private struct Writer: Service {
  let store: Store

  func run() async throws {
    var count = 0
    while !Task.isShuttingDownGracefully {
      count += 1
      try await store.put("key", "\(count)", durability: .buffered)
      await Task.yield()
    }
    try await store.put("last", "words", durability: .buffered)
  }
}

@Suite struct StoreServiceTests {
  @Test("A graceful shutdown makes what was accepted durable and marks the store clean")
  func drains() async throws {
    let testing = try await TestingStore()
    try await testing.store.put("key", "value", durability: .buffered)
    try await testGracefulShutdown { trigger in
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await testing.store.run() }
        trigger.triggerGracefulShutdown()
        try await group.waitForAll()
      }
    }
    await #expect(throws: StoreError.self) { try await testing.store.put("more", "value") }
    let later = try await testing.reopenedAsIs()
    #expect(later.store.recoveryReport.outcome == .clean)
    #expect(try await later.store.get("key")?.value == Array("value".utf8))
    try await later.store.close()
  }

  @Test("In a group the store outlives the services behind it")
  func outlivesItsUsers() async throws {
    let testing = try await TestingStore()
    let store = testing.store
    try await testGracefulShutdown { trigger in
      let group = ServiceGroup(
        services: [store, Writer(store: store)], logger: Logger(label: "test"))
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        while try await store.contains("key") == false { await Task.yield() }
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
      }
    }
    let later = try await testing.reopenedAsIs()
    #expect(later.store.recoveryReport.outcome == .clean)
    #expect(try await later.store.contains("last"))
    try await later.store.close()
  }

  @Test("Cancellation closes the store, too")
  func cancellation() async throws {
    let testing = try await TestingStore()
    let running = Task { try await testing.store.run() }
    running.cancel()
    try await running.value
    #expect(try await testing.reopenedAsIs().store.recoveryReport.outcome == .clean)
  }

  @Test("The service ends when somebody else closes the store")
  func closedByOthers() async throws {
    let testing = try await TestingStore()
    let running = Task { try await testing.store.run() }
    try await testing.store.close()
    try await running.value
  }

  @Test(
    "A store that a failed flush has poisoned ends the service with an error",
    arguments: [
      true, false,
    ])
  func poisoned(beforeRun: Bool) async throws {
    let disk = SimulatedDevice(byteCount: 16 << 20)
    try await Store.format(device: disk, options: FormatOptions())
    let store = try await Store.open(device: disk, options: TestingStore.options)
    func poison() async {
      disk.install(FaultPlan().failing(.flush, .from(0)))
      await #expect(throws: StoreError.self) { try await store.put("key", "value") }
    }
    if beforeRun { await poison() }
    let running = Task { try await store.run() }
    if !beforeRun { await poison() }
    let error = await #expect(throws: StoreError.self) { try await running.value }
    #expect(error?.code == .poisoned)
    // It is released: whoever asks again is told that it is closed.
    await #expect(throws: StoreError.self) { try await store.put("key", "value") }
  }
}
