import Glibc
import Synchronization
import Testing

@testable import VarveIO

/// Tasks on the threads that do their I/O.
@Suite struct ExecutorTests {
  /// A flag that tasks share.
  private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
  }

  private static func withExecutor(
    threadCount: Int = 2, _ options: DeviceOptions = DeviceOptions(),
    _ body: (any InstrumentedDevice, IOExecutor) async throws -> Void
  ) async throws {
    try await DeviceConformanceTests.withDevice(.linuxAIO, options) { device in
      let executor = try device.makeExecutor(threadCount: threadCount, onStall: { _ in })
      try await body(device, executor)
    }
  }

  @Test(arguments: [1, 2, 3]) func tasksAndTheirReadsStayOnALoop(threadCount: Int) async throws {
    try await Self.withExecutor(threadCount: threadCount) { device, executor in
      for index in 0..<16 {
        let page = Buffer(4096, filledWith: UInt8(index + 1))
        let place = UInt64(index) * 4096
        #expect(await device.perform(.write, page, byteCount: 4096, at: place) == nil)
      }
      await withTaskExecutorPreference(executor) {
        await withTaskGroup(of: Void.self) { group in
          for task in 0..<24 {
            group.addTask {
              let buffer = Buffer(4096)
              for step in 0..<50 {
                #expect(IOLoop.current != nil)
                let index = (task * 7 + step) % 16
                let place = UInt64(index) * 4096
                let error = await device.perform(.read, buffer, byteCount: 4096, at: place)
                #expect(error == nil)
                #expect(buffer.isFilled(with: UInt8(index + 1), byteCount: 4096))
              }
            }
          }
        }
      }
      #expect(device.statistics.readCount == 24 * 50)
      #expect(executor.threadCount == threadCount)
    }
  }

  /// Reads of tasks elsewhere do not wait for a task that computes on a loop.
  @Test func othersDoNotWaitForALoop() async throws {
    try await Self.withExecutor(threadCount: 1) { device, executor in
      let isDone = Flag()
      await withTaskGroup(of: Void.self) { group in
        group.addTask(executorPreference: executor) {
          while !isDone.isSet { sched_yield() }
        }
        group.addTask(executorPreference: globalConcurrentExecutor) {
          let buffer = Buffer(4096)
          for _ in 0..<100 {
            #expect(await device.perform(.read, buffer, byteCount: 4096) == nil)
          }
          isDone.set()
        }
      }
      #expect(executor.stallCount <= 1)
    }
  }

  @Test func aStallIsCountedAndReported() async throws {
    try await DeviceConformanceTests.withDevice(.linuxAIO) { device in
      let reported = Atomic<UInt64>(0)
      let executor = try device.makeExecutor(threadCount: 1) { nanoseconds in
        reported.store(nanoseconds, ordering: .relaxed)
      }
      // Blocking is what this is about, and all there is to wait for.
      await Task(executorPreference: executor) { _ = usleep(10_000) }.value
      await Task(executorPreference: executor) {}.value
      #expect(executor.stallCount == 1)
      #expect(reported.load(ordering: .relaxed) > IOLoop.stallNanoseconds)
    }
  }

  /// More requests than slots, from a loop: what does not fit is held back and comes.
  @Test func aLoopHoldsBackWhatDoesNotFit() async throws {
    try await Self.withExecutor(threadCount: 1, DeviceOptions(queueDepth: 2)) { device, executor in
      await Task(executorPreference: executor) {
        let buffers = (0..<64).map { _ in Buffer(4096) }
        let requests = buffers.map {
          TestRequest(operation: .read, memory: $0.base, byteCount: 4096)
        }
        device.submit(contentsOf: requests)
        for request in requests { #expect(await request.result() == nil) }
        let refused = TestRequest(operation: .read, memory: buffers[0].base, byteCount: 100)
        device.submit(refused)
        #expect(await refused.result()?.errorNumber == EINVAL)
      }.value
    }
  }

  /// Closing takes the contexts away from the loops; tasks go on, and are refused I/O.
  @Test func tasksOutliveTheDevice() async throws {
    try await Self.withExecutor { device, executor in
      let first = Buffer(4096)
      await Task(executorPreference: executor) {
        #expect(await device.perform(.read, first, byteCount: 4096) == nil)
      }.value
      device.close()
      await Task(executorPreference: executor) {
        #expect(IOLoop.current != nil)
        let error = await device.perform(.read, first, byteCount: 4096)
        #expect(error?.errorNumber == ESHUTDOWN)
        await Task.yield()
        #expect(IOLoop.current != nil)
      }.value
    }
  }

  /// A task on a loop may close the device, with reads of others in flight on that loop.
  @Test func aTaskOnALoopClosesTheDevice() async throws {
    for _ in 0..<20 {
      try await Self.withExecutor(threadCount: 1) { device, executor in
        await withTaskGroup(of: Void.self) { group in
          for task in 0..<8 {
            group.addTask(executorPreference: executor) {
              let buffer = Buffer(4096)
              while true {
                let error = await device.perform(.read, buffer, byteCount: 4096)
                guard error == nil else {
                  #expect(error?.errorNumber == ESHUTDOWN)
                  return
                }
                if task == 0 { device.close() }
              }
            }
          }
        }
      }
    }
  }

  /// The threads end with the last holder, also where that is a task of theirs.
  @Test func threadsEndWithTheExecutor() async throws {
    try await DeviceConformanceTests.withDevice(.linuxAIO) { device in
      for _ in 0..<50 {
        let executor = try device.makeExecutor(threadCount: 2, onStall: { _ in })
        let task = Task(executorPreference: executor) {
          let buffer = Buffer(4096)
          #expect(await device.perform(.read, buffer, byteCount: 4096) == nil)
        }
        await task.value
      }
      #expect(device.statistics.readCount == 50)
    }
  }

  /// Answers from memory do not keep the others of the loop from their turn.
  @Test func answersWithoutSuspensionGiveWay() async throws {
    try await Self.withExecutor(threadCount: 1) { device, executor in
      let isDone = Flag()
      await withTaskGroup(of: Void.self) { group in
        group.addTask(executorPreference: executor) {
          while !isDone.isSet {
            if IOExecutor.isYieldDue() { await IOExecutor.yield() }
          }
        }
        group.addTask(executorPreference: executor) {
          let buffer = Buffer(4096)
          for _ in 0..<20 {
            #expect(await device.perform(.read, buffer, byteCount: 4096) == nil)
          }
          isDone.set()
        }
      }
      #expect(!(0..<1000).contains { _ in IOExecutor.isYieldDue() })
    }
  }

  /// Devices without contexts have executors, too.
  @Test func threadsRunTasksOnly() async throws {
    try await DeviceConformanceTests.withDevice(.threads) { device in
      let executor = try device.makeExecutor(threadCount: 2, onStall: { _ in })
      await Task(executorPreference: executor) {
        let buffer = Buffer(4096)
        for _ in 0..<10 {
          #expect(await device.perform(.read, buffer, byteCount: 4096) == nil)
          #expect(IOLoop.current != nil)
        }
      }.value
    }
  }
}
