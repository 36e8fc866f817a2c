import CVarveAIO
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
      #expect(device.statistics.readCount == 50 && device.statistics.inFlightCount == 0)
    }
  }

  /// Tasks on two loops close the device at the same time; once their threads are through, the
  /// file can be opened again, though device and executor are still there.
  @Test func loopsCloseTheDeviceTogether() async throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
    let device = try Devices.start(file, engine: .linuxAIO).device
    let executor = try device.makeExecutor(threadCount: 2, onStall: { _ in })
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<2 { group.addTask(executorPreference: executor) { device.close() } }
    }
    let limit = ContinuousClock.now + .seconds(60)
    while true {
      do {
        try DirectFile.open(folder.file()).close()
        break
      } catch {
        try #require(error.code == .inUse && ContinuousClock.now < limit)
      }
      await Task.yield()
    }
    device.close()
    #expect(executor.threadCount == 2)
  }

  /// A request that is refused by the kernel and submits itself again from `complete`.
  private final class Stubborn: IORequest, @unchecked Sendable {
    let device: any BlockDevice
    let completions = Atomic<Int>(0)

    init(_ device: any BlockDevice, _ buffer: Buffer) {
      self.device = device
      super.init(operation: .read, memory: buffer.base, byteCount: 4096)
    }

    override func complete(_ error: IOError?) {
      #expect(error?.errorNumber == EBADF)
      guard completions.wrappingAdd(1, ordering: .relaxed).newValue < 3 else { return }
      device.submit(self)
    }
  }

  /// Requests that come back while their group is being submitted are submitted once each time.
  @Test(arguments: [1, 3, 4, 5, 9]) func refusedRequestsMayBeSubmittedAgain(
    count: Int
  ) async throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
    let number = file.descriptorNumber
    let device = try AIODevice(file)
    AIOTests.spoil(number, in: folder)
    let executor = try device.makeExecutor(threadCount: 1, onStall: { _ in })
    let buffer = Buffer(4096)
    let requests = (0..<count).map { _ in Stubborn(device, buffer) }
    await Task(executorPreference: executor) {
      for request in requests { device.submit(request) }
      await IOExecutor.yield()
    }.value
    #expect(requests.allSatisfy { $0.completions.load(ordering: .relaxed) == 3 })
    #expect(device.statistics.failureCount == UInt64(3 * count))
    device.close()
  }

  /// A signal that came after the poll was armed ends the wait, which clears nothing by itself: it
  /// would take away the word of a job that came while the thread went to sleep.
  @Test func signalsBeforeAWaitAreNotLost() throws {
    let folder = try TestFolder()
    let file = SharedFile(
      try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536)))
    let context = try AIOContext(requestCapacity: 9)
    let shard = AIOShard(
      submitter: context.submitter(), wakeEvent: varve_event_create(), file: file,
      options: DeviceOptions(queueDepth: 8))
    var reaper = AIOReaper(shard, context)
    for _ in 0..<3 {
      reaper.arm()
      shard.wake()
      reaper.reap(mayWait: true)
      let isWakeArmed = reaper.isWakeArmed
      #expect(!isWakeArmed, "the wait ended by its time")
    }
    shard.beginClosing()
    var goesOn = true
    while goesOn {
      reaper.arm()
      reaper.reap(mayWait: true)
      goesOn = reaper.goesOn()
    }
  }

  /// A request whose completion submits another one, and returns when the device is being closed.
  private final class LastWord: IORequest, @unchecked Sendable {
    private let device: any BlockDevice
    private let next: TestRequest
    private let isClosing: Flag

    init(_ device: any BlockDevice, _ buffer: Buffer, then next: TestRequest, _ isClosing: Flag) {
      self.device = device
      self.next = next
      self.isClosing = isClosing
      super.init(operation: .read, memory: buffer.base, byteCount: 4096)
    }

    override func complete(_ error: IOError?) {
      device.submit(next)
      isClosing.set()
      // Time to begin closing, so that the loop finds itself closed when this returns.
      usleep(200_000)
    }
  }

  /// What was submitted before a device is closed is finished, also from a completion of the very
  /// round in which the loop learns of the end.
  @Test func aRequestStagedByTheLastCompletionIsFinished() async throws {
    try await Self.withExecutor(threadCount: 1) { device, executor in
      let (first, second) = (Buffer(4096), Buffer(4096))
      let isClosing = Flag()
      let next = TestRequest(operation: .read, memory: second.base, byteCount: 4096)
      let closing = try DeviceThread(name: "closing") {
        while !isClosing.isSet { usleep(100) }
        device.close()
      }
      await Task(executorPreference: executor) {
        device.submit(LastWord(device, first, then: next, isClosing))
      }.value
      #expect(await next.result() == nil)
      closing.join()
    }
  }

  /// A child that a task of a loop has forked runs on in that loop, and shares the ring with its
  /// parent: it takes none of the parent's completions.
  @Test func aForkedChildLeavesTheRingAlone() async {
    await #expect(processExitsWith: .success) {
      try await Self.withExecutor(threadCount: 1) { device, executor in
        let errorCount = await withTaskExecutorPreference(executor) {
          let child = forkProcess()
          // A completion that is taken away never comes: neither process outlives this.
          alarm(120)
          // The loop turns in the child, too.
          while child == 0 { await Task.yield() }
          let buffer = Buffer(4096)
          var errorCount = 0
          for _ in 0..<2000 {
            let error = await device.perform(.read, buffer, byteCount: 4096)
            errorCount += error == nil ? 0 : 1
          }
          kill(child, SIGKILL)
          waitpid(child, nil, 0)
          return errorCount
        }
        guard errorCount == 0 else { exit(2) }
      }
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
