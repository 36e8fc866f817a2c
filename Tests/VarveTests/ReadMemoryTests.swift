import Synchronization
import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// The memory of reads is bounded, and whoever waits for it gets it.
@Suite struct ReadMemoryTests {
  private let page = Limits.pageByteCount

  private func take(_ memory: ReadMemory, _ pageCount: Int) throws -> PageBuffer {
    try #require(memory.take(pageCount: pageCount, turn: nil))
  }

  @Test func buffersAreBoundedAndUsedAgain() throws {
    let memory = ReadMemory(byteLimit: 8 * page)
    let buffers = try (0..<4).map { _ in try take(memory, 2) }
    #expect(memory.take(pageCount: 1, turn: nil) == nil)
    #expect(memory.byteCount == 8 * page)
    for buffer in buffers { memory.recycle(buffer) }
    #expect(memory.byteCount == 8 * page, "kept")
    let again = try take(memory, 2)
    #expect(buffers.contains { $0 === again })
    // Other sizes need the memory of those that are kept.
    _ = try take(memory, 3)
    #expect(memory.byteCount <= 8 * page)
    _ = try take(memory, 3)
    #expect(memory.byteCount == 8 * page)
    #expect(memory.take(pageCount: 1, turn: nil) == nil)
  }

  /// What is larger than the limit goes alone.
  @Test func aLargeReadIsNeverRefusedForGood() throws {
    let memory = ReadMemory(byteLimit: 8 * page)
    let small = try take(memory, 1)
    #expect(memory.take(pageCount: 20, turn: nil) == nil)
    memory.recycle(small)
    let large = try take(memory, 20)
    #expect(memory.byteCount == 20 * page)
    #expect(memory.take(pageCount: 1, turn: nil) == nil)
    memory.recycle(large)
    #expect(memory.byteCount == 0)
  }

  /// Takes as `StoreCore.search` does; keeps the buffer until told.
  private func waiter(
    _ memory: ReadMemory, _ pageCount: Int, _ order: OrderLog, name: String
  ) -> Task<PageBuffer?, Never> {
    Task {
      var turn: ReadMemory.Turn?
      while true {
        if let buffer = memory.take(pageCount: pageCount, turn: turn) {
          order.append(name)
          if turn != nil { memory.pass() }
          return buffer
        }
        guard await memory.wait(pageCount: pageCount, &turn) else { return nil }
      }
    }
  }

  /// First come, first served: a large read is not overtaken for ever by small ones.
  @Test func turnsAreKept() async throws {
    let memory = ReadMemory(byteLimit: 8 * page)
    var held = try (0..<8).map { _ in try take(memory, 1) }
    let order = OrderLog()
    let large = waiter(memory, 6, order, name: "large")
    await API.until { memory.waiterCount == 1 }
    let small = waiter(memory, 1, order, name: "small")
    await API.until { memory.waiterCount == 2 }
    for remaining in stride(from: 7, through: 3, by: -1) {
      memory.recycle(held.removeLast())
      // The first tries with its turn, and waits again.
      await API.until { memory.waiterCount == 2 }
      #expect(order.names.isEmpty, "\(remaining) pages in use")
      #expect(memory.take(pageCount: 1, turn: nil) == nil, "newcomers wait behind the others")
    }
    memory.recycle(held.removeLast())
    let largeBuffer = try #require(await large.value)
    #expect(order.names == ["large"])
    memory.recycle(largeBuffer)
    #expect(await small.value != nil)
  }

  /// Who leaves does not take the turn along.
  @Test func aCancelledWaiterLeavesAtOnce() async throws {
    let memory = ReadMemory(byteLimit: 2 * page)
    let held = try (0..<2).map { _ in try take(memory, 1) }
    let order = OrderLog()
    let first = waiter(memory, 2, order, name: "first")
    await API.until { memory.waiterCount == 1 }
    let second = waiter(memory, 1, order, name: "second")
    await API.until { memory.waiterCount == 2 }
    first.cancel()
    #expect(await first.value == nil)
    memory.recycle(held[0])
    #expect(await second.value != nil)
  }

  /// Many readers of many sizes, some of them cancelled: all of them end.
  @Test func everybodyIsServed() async throws {
    let memory = ReadMemory(byteLimit: 16 * page)
    let servedCount = SharedCount()
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<64 {
        group.addTask {
          var random = SeededGenerator(seed: UInt64(number))
          for round in 0..<200 {
            let work = waiter(
              memory, 1 + Int(random.below(number % 8 == 0 ? 24 : 4)), OrderLog(), name: "")
            if (number + round) % 5 == 0 { work.cancel() }
            guard let buffer = await work.value else { continue }
            servedCount.add(1)
            if random.below(3) == 0 { await Task.yield() }
            memory.recycle(buffer)
          }
        }
      }
    }
    #expect(servedCount.value >= 64 * 200 * 4 / 5)
    #expect(memory.waiterCount == 0)
    #expect(memory.byteCount <= 16 * page)
    #expect(memory.take(pageCount: 16, turn: nil) != nil, "nothing is left in use")
  }

  // MARK: In a store

  private func filled(keyCount: Int) async throws -> (Store, HoldingDevice) {
    let first = try await TestingStore()
    for number in 0..<keyCount {
      let value = [UInt8](repeating: UInt8(number % 251), count: 3000)
      try await first.store.put("\(number)", value, durability: .buffered)
    }
    try await first.store.close()
    let device = HoldingDevice(first.device.copy())
    var options = TestingStore.options
    options.cacheEnabled = false
    options.compression = false
    return (try await Store.open(device: device, options: options), device)
  }

  /// More misses than there is memory for: they wait, within the budget, and all are answered.
  @Test func missesBeyondTheBudgetWait() async throws {
    let keyCount = 600
    let (store, device) = try await filled(keyCount: keyCount)
    let memory = store.core.reader.memory
    device.hold([.read])
    let gets = (0..<keyCount).map { number in Task { try await store.get("\(number)") } }
    await API.until { memory.waiterCount + device.heldCount == keyCount }
    #expect(device.heldCount * page <= memory.byteLimit)
    #expect(store.statistics.readByteCount <= memory.byteLimit)
    // Those that wait for memory can leave, and those that wait for the device.
    for get in gets[400...] { get.cancel() }
    for get in gets[400...] { #expect(await API.code { _ = try await get.value } == .cancelled) }
    device.release()
    for (number, get) in gets[..<400].enumerated() {
      #expect(try await get.value?.value.first == UInt8(number % 251))
    }
    #expect(memory.waiterCount == 0)
    try await store.close()
  }

  /// Multi-gets and an iteration that each want more than there is do not wait for each other.
  @Test func manyMultiGetsShareTheMemory() async throws {
    let keyCount = 600
    let (store, device) = try await filled(keyCount: keyCount)
    device.hold([.read])
    let keys = (0..<keyCount).map { "\($0)" }
    let multiGets = (0..<4).map { shift in
      Task {
        let shifted = Array(keys[(shift * 150)...] + keys[..<(shift * 150)])
        return try await (shifted, store.multiGet(shifted))
      }
    }
    let iteration = Task {
      var count = 0
      for try await record in store.records { count += record.value.count == 3000 ? 1 : 0 }
      return count
    }
    await API.until { device.heldCount * 2 * page > store.core.reader.memory.byteLimit }
    #expect(store.statistics.readByteCount <= store.core.reader.memory.byteLimit)
    device.release()
    for multiGet in multiGets {
      let (keys, values) = try await multiGet.value
      for (key, value) in zip(keys, values) {
        #expect(value?.value.first == Int(key).map { UInt8($0 % 251) })
      }
    }
    #expect(try await iteration.value == keyCount)
    try await store.close()
  }
}

/// In which order things happened.
private final class OrderLog: Sendable {
  private let list = Mutex<[String]>([])

  var names: [String] { list.withLock { $0 } }

  func append(_ name: String) { list.withLock { $0.append(name) } }
}
