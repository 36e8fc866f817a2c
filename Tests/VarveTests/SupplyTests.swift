import Glibc
import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// The log gets its segments in time, whatever else keeps the maintenance task and the host busy.
@Suite(.serialized) struct SupplyTests {
  private func openStore(
    byteCount: UInt64 = 2 << 20
  ) async throws -> (store: Store, device: GateDevice) {
    let medium = RAMDevice(byteCount: byteCount, delivery: .inline)
    try await Store.format(
      device: medium, options: FormatOptions(segmentByteCount: Harness.segmentByteCount))
    let device = GateDevice(medium.image)
    var options = Harness.options
    options.compression = false
    return (try await Store.open(device: device, options: options), device)
  }

  /// A record that needs a segment of its own.
  private static let large = [UInt8](repeating: 3, count: 11_000)

  /// A full store of which everything but a few records is dead is not full.
  @Test(arguments: [Durability.buffered, .written])
  func overwritingFewKeysIsNeverRefused(durability: Durability) async throws {
    let (store, _) = try await openStore()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          for _ in 0..<100 {
            try await store.put("\(writer)", Self.large, durability: durability)
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(store.statistics.putCount == 400)
    try await store.close()
  }

  /// Tasks of the host that never suspend may hold every thread of the cooperative pool.
  @Test(.timeLimit(.minutes(10))) func maintenanceNeedsNoThreadOfThePool() async throws {
    let (store, _) = try await openStore()
    let writerThread = try WorkerThread(name: "writer")
    let doneCount = SharedCount()
    let blockedCount = SharedCount()
    let finishedCount = SharedCount()
    let unblockedCount = SharedCount()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<max(4, 2 * Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) {
        group.addTask {
          blockedCount.add(1)
          // Bounded, so that a failure does not stop the other tests for ever.
          for _ in 0..<40_000 where doneCount.value == 0 { usleep(1000) }
          unblockedCount.add(1)
        }
      }
      group.addTask(executorPreference: writerThread) {
        for _ in 0..<30_000 where blockedCount.value < 2 { usleep(1000) }
        for number in 0..<12 {
          if (try? await store.put("\(number)", Self.large)) != nil { finishedCount.add(1) }
        }
        // What the store did so far, it did with the pool blocked.
        #expect(blockedCount.value >= 2 && unblockedCount.value == 0)
        #expect(finishedCount.value == 12)
        doneCount.add(1)
      }
    }
    writerThread.stop()
    writerThread.join()
    try await store.close()
  }

  /// A checkpoint that is being written is given up before a put is refused.
  @Test func aCheckpointGivesItsSegmentsBackForPuts() async throws {
    let (store, device) = try await openStore(byteCount: 4 << 20)
    // So many keys that their checkpoint takes several writes.
    for start in stride(from: 0, to: 15_000, by: 100) {
      var batch = Batch()
      for number in start..<start + 100 { batch.put("\(number)", "") }
      _ = try await store.write(batch, durability: .buffered)
    }
    try await store.sync()
    let uuid = try Superblock(
      decoding: device.medium.image.read(at: 0, byteCount: 4096).span.bytes, at: PageIndex(0)
    ).uuid
    let heldCount = SharedCount()
    device.install { request in
      guard request.operation == .write, let memory = unsafe request.memory else { return .pass }
      // SAFETY: the request lends its memory until it is completed.
      let bytes = unsafe RawSpan(_unsafeStart: memory, byteCount: 4096)
      let kind = (try? PageHeader.peek(bytes, uuid: uuid))?.kind
      guard kind == .checkpoint || kind == .segmentHeader && request.byteCount > 100_000,
        heldCount.add(1) == 1
      else { return .pass }
      return .hold
    }
    let freeCount = store.statistics.freeSegmentCount
    let checkpoint = Task { try await store.checkpoint() }
    await API.until { device.heldCount == 1 }
    let takenCount = freeCount - store.statistics.freeSegmentCount
    #expect(takenCount > 8, "the checkpoint is large")
    // More than there is beside the checkpoint, and less than there is without it.
    let writer = Task {
      for number in 0..<freeCount - takenCount {
        try await store.put("large \(number)", Self.large, durability: .written)
      }
    }
    try await Task.sleep(nanoseconds: 20_000_000)
    device.release()
    try await writer.value
    try await checkpoint.value
    #expect(store.health == .healthy)
    #expect(store.statistics.keyCount == 15_000 + freeCount - takenCount)
    try await store.close()
    let reopened = try await Harness.open(
      RAMDevice(image: device.medium.image, delivery: .background))
    #expect(reopened.recoveryReport.outcome == .clean)
    #expect(reopened.statistics.keyCount == 15_000 + freeCount - takenCount)
    try await reopened.close()
  }

  /// Neither a store that is closed nor one that is dropped leaves its thread behind.
  @Test func threadsEndWithTheirStore() async throws {
    func maintenanceThreadCount() throws -> Int {
      var count = 0
      guard let folder = unsafe opendir("/proc/self/task") else { throw Errno.noFolder }
      defer { unsafe closedir(folder) }
      while let entry = unsafe readdir(folder) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
          unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
            unsafe String(cString: $0)
          }
        }
        let file = open("/proc/self/task/\(name)/comm", O_RDONLY)
        guard file >= 0 else { continue }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let byteCount = unsafe read(file, &bytes, bytes.count)
        if byteCount > 0, String(decoding: bytes[..<byteCount], as: UTF8.self) == "varve-maint\n" {
          count += 1
        }
      }
      return count
    }
    // Other suites run beside this one, with stores of their own: far fewer than this.
    for round in 0..<300 {
      let (store, _) = try await openStore()
      try await store.put("a", "a", durability: .buffered)
      if round % 2 == 0 { try await store.close() }
    }
    for _ in 0..<2000 where try maintenanceThreadCount() > 100 {
      try await Task.sleep(nanoseconds: 5_000_000)
    }
    #expect(try maintenanceThreadCount() <= 100)
  }

  private enum Errno: Error { case noFolder }
}
