import Testing
import Varve
import VarveIO
import VarveTesting

/// What each level waits for, and how writers are held back.
@Suite(.timeLimit(.minutes(10))) struct APIDurabilityTests {
  private func opened(_ options: StoreOptions = TestingStore.options) async throws -> (
    Store, HoldingDevice
  ) {
    let device = HoldingDevice(try await API.formatted())
    let store = try await Store.open(device: device, options: options)
    // From here on the log has a segment, and no write waits for one.
    try await store.put("first", "1")
    return (store, device)
  }

  @Test func bufferedWaitsForNothing() async throws {
    let (store, device) = try await opened()
    device.hold([.read, .write, .writeDurably, .flush])
    let sequence = try await store.put("k", "1", durability: .buffered)
    #expect(try await store.delete("k", durability: .buffered) == sequence + 1)
    #expect(try await store.put("k", "2", condition: .ifAbsent, durability: .buffered).isApplied)
    var batch = Batch()
    batch.put("k", "3", condition: .ifSequence(sequence + 2))
    #expect(try await store.write(batch, durability: .buffered).isApplied)
    #expect(try await store.get("k")?.text == "3")
    #expect(store.statistics.durableSequence < sequence)
    device.release()
    try await store.close()
  }

  @Test func writtenWaitsForTheWriteAlone() async throws {
    let (store, device) = try await opened()
    device.hold([.write])
    let put = Task { try await store.put("k", "1", durability: .written) }
    await API.until { store.statistics.lastSequence == 2 && device.heldCount > 0 }
    device.hold([.flush])
    device.releaseHeld()
    let sequence = try await put.value
    #expect(store.statistics.durableSequence < sequence)
    // What the device has completed outlives the process.
    let later = try await Store.open(device: device.base.copy(), options: TestingStore.options)
    #expect(try await later.get("k")?.sequence == sequence)
    try await later.close()
    device.release()
    try await store.sync()
    #expect(store.statistics.durableSequence >= sequence)
    try await store.close()
  }

  @Test func durableWaitsForAFlushAfterTheWrite() async throws {
    let (store, device) = try await opened()
    device.hold([.flush])
    let put = Task { try await store.put("k", "1") }
    await API.until { store.statistics.lastSequence == 2 }
    #expect(store.statistics.durableSequence == 1)
    #expect(try await store.get("k")?.text == "1", "readers see what is not durable yet")
    device.release()
    #expect(try await put.value == 2)
    #expect(store.statistics.durableSequence == 2)
    try await store.close()
  }

  @Test func syncLiftsWhatWasBuffered() async throws {
    let (store, device) = try await opened()
    var last: UInt64 = 0
    for number in 0..<100 { last = try await store.put("\(number)", "1", durability: .buffered) }
    device.hold([.flush])
    let sync = Task { try await store.sync() }
    await API.until { device.heldCount > 0 }
    #expect(store.statistics.durableSequence < last)
    device.release()
    try await sync.value
    #expect(store.statistics.durableSequence == last)
    // The store may flush something of its own meanwhile, but not for ever.
    var isIdle = false
    for _ in 0..<100 where !isIdle {
      let flushCount = store.statistics.flushCount
      try await store.sync()
      isIdle = store.statistics.flushCount == flushCount
    }
    #expect(isIdle, "where there is nothing to flush, a sync flushes nothing")
    try await store.close()
  }

  /// A refused batch or delete vouches, as a refused put does, for what stands in the way.
  @Test func refusalsWaitForTheLevel() async throws {
    let (store, device) = try await opened()
    device.hold([.flush])
    let standing = try await store.put("k", "1", durability: .buffered)
    var batch = Batch()
    batch.put("x", "1")
    batch.put("k", "2", condition: .ifAbsent)
    #expect(try await store.write(batch, durability: .buffered) == .refused(operationIndex: 1))
    let refused = Task { [batch] in try await store.write(batch) }
    await API.until { device.heldCount > 0 }
    #expect(store.statistics.durableSequence < standing)
    device.release()
    #expect(try await refused.value == .refused(operationIndex: 1))
    #expect(store.statistics.durableSequence >= standing)
    try await store.delete("k", durability: .buffered)
    device.hold([.flush])
    let tombstone = store.statistics.lastSequence
    // A key that is gone is as good as its tombstone.
    let delete = Task { try await store.delete("k") }
    await API.until { device.heldCount > 0 }
    #expect(store.statistics.durableSequence < tombstone)
    device.release()
    #expect(try await delete.value == nil)
    #expect(store.statistics.durableSequence >= tombstone)
    try await store.close()
  }

  /// The device answers nothing: writers are suspended at the bound, and a suspended writer is not
  /// queued yet, so it heeds cancellation at once.
  @Test func writersAreHeldBackAndCanLeave() async throws {
    var options = TestingStore.options
    options.compression = false
    let (store, device) = try await opened(options)
    let value = [UInt8](repeating: 3, count: 10_000)
    device.hold([.write, .flush])
    let writers = (0..<4).map { writer in
      Task {
        for _ in 0..<150 { try await store.put("\(writer)", value, durability: .buffered) }
      }
    }
    await API.until { device.heldCount > 0 }
    await quiet(store)
    let held = store.statistics
    #expect(held.lastSequence < 600, "somebody must wait")
    #expect(held.bufferByteCount <= 2 << 20)
    for writer in writers[..<2] {
      writer.cancel()
      #expect(await API.code { try await writer.value } == .cancelled)
    }
    #expect(device.heldCount > 0, "the device has not answered")
    device.release()
    for writer in writers[2...] { try await writer.value }
    // What was cancelled before it was queued was not written; what was queued was.
    try await store.sync()
    #expect(store.statistics.lastSequence == store.statistics.putCount)
    #expect(store.statistics.putCount > 300 && store.statistics.putCount < 600)
    try await store.close()
  }

  /// Until nothing has been appended for a while.
  private func quiet(_ store: Store) async {
    var last = store.statistics.lastSequence
    var yieldCount = 0
    while yieldCount < 2000 {
      await Task.yield()
      let now = store.statistics.lastSequence
      yieldCount = now == last ? yieldCount + 1 : 0
      last = now
    }
  }
}
