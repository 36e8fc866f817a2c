// What every engine promises, run over each, on a file and (as root) on a loop device.

import CVarveAIO
import Glibc
import Synchronization
import Testing

@testable import VarveIO

@Suite struct DeviceConformanceTests {
  static let engines: [DeviceEngine] =
    [.linuxAIO, .threads] + (URing.isAvailable ? [.uring] : [])
  static let deviceByteCount: UInt64 = 4 << 20

  /// A device over a new file.
  static func withDevice(
    _ engine: DeviceEngine, _ options: DeviceOptions = DeviceOptions(),
    _ body: (any InstrumentedDevice) async throws -> Void
  ) async throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(
      folder.file(), options: CreateOptions(byteCount: deviceByteCount))
    let opened = try Devices.start(file, engine: engine, options: options)
    #expect(opened.engine == engine)
    defer { opened.device.close() }
    try await body(opened.device)
  }

  @Test(arguments: engines) func twoSectorReads(_ engine: DeviceEngine) async throws {
    try await Self.withDevice(engine) { device in
      let page = Buffer(8192, filledWith: 0xbe)
      memset(page.base + 4096, 0xba, 4096)
      #expect(await device.perform(.write, page, byteCount: 8192) == nil)
      let (first, second) = (Buffer(512), Buffer(512))
      let requests = [
        TestRequest(operation: .read, memory: first.base, byteCount: 512, byteOffset: 0),
        TestRequest(operation: .read, memory: second.base, byteCount: 512, byteOffset: 4096),
      ]
      device.submit(contentsOf: requests)
      for request in requests { #expect(await request.result() == nil) }
      #expect(first.isFilled(with: 0xbe, byteCount: 512))
      #expect(second.isFilled(with: 0xba, byteCount: 512))
      #expect(requests.map(\.completionCount) == [1, 1])
    }
  }

  @Test(arguments: engines) func writesAreRead(_ engine: DeviceEngine) async throws {
    try await Self.withDevice(engine) { device in
      for index in 0..<16 {
        let operation: IOOperation = index % 2 == 0 ? .write : .writeDurably
        let page = Buffer(4096, filledWith: UInt8(index + 1))
        let place = UInt64(index) * 65536
        #expect(await device.perform(operation, page, byteCount: 4096, at: place) == nil)
      }
      #expect(await device.perform(.flush) == nil)
      for index in 0..<16 {
        let page = Buffer(4096)
        let place = UInt64(index) * 65536
        #expect(await device.perform(.read, page, byteCount: 4096, at: place) == nil)
        #expect(page.isFilled(with: UInt8(index + 1), byteCount: 4096))
      }
      let statistics = device.statistics
      #expect(statistics.writeCount == 16 && statistics.readCount == 16)
      #expect(statistics.flushCount == 1 && statistics.writtenByteCount == 65536)
      #expect(statistics.readByteCount == 65536 && statistics.failureCount == 0)
      #expect(statistics.maximumSubmitNanoseconds > 0 || engine != .linuxAIO)
    }
  }

  @Test(arguments: engines) func refusals(_ engine: DeviceEngine) async throws {
    try await Self.withDevice(engine) { device in
      let page = Buffer(8192)
      let end = device.byteCount
      let beyond = await device.perform(.write, page, byteCount: 4096, at: end)
      #expect(
        beyond
          == IOError(operation: .write, byteOffset: end, byteCount: 4096, errorNumber: ENOSPC))
      let across = await device.perform(.writeDurably, page, byteCount: 8192, at: end - 4096)
      #expect(across?.errorNumber == ENOSPC)
      let wrapped = await device.perform(.write, page, byteCount: 512, at: .max - 511)
      #expect(wrapped?.errorNumber == ENOSPC)
      let readBeyond = await device.perform(.read, page, byteCount: 4096, at: end)
      #expect(readBeyond?.errorNumber == EINVAL)
      let odd = await device.perform(.read, page, byteCount: 513, at: 1024)
      #expect(
        odd == IOError(operation: .read, byteOffset: 1024, byteCount: 513, errorNumber: EINVAL))
      let oddPlace = await device.perform(.write, page, byteCount: 512, at: 100)
      #expect(oddPlace?.errorNumber == EINVAL)
      let request = TestRequest(operation: .read, memory: page.base + 1, byteCount: 512)
      device.submit(request)
      #expect(await request.result()?.errorNumber == EINVAL)
      #expect(await device.perform(.read, nil, byteCount: 512)?.errorNumber == EINVAL)
      // One bad request in a batch fails alone.
      let batch = (0..<6).map { index in
        TestRequest(
          operation: .read, memory: page.base, byteCount: index == 2 ? 100 : 512,
          byteOffset: UInt64(index) * 512)
      }
      device.submit(contentsOf: batch)
      for (index, request) in batch.enumerated() {
        #expect(await request.result()?.errorNumber == (index == 2 ? EINVAL : nil))
      }
    }
  }

  @Test(arguments: engines) func moreRequestsThanSlots(_ engine: DeviceEngine) async throws {
    let options = DeviceOptions(contextCount: 2, queueDepth: 3, threadCount: 2)
    try await Self.withDevice(engine, options) { device in
      let buffer = Buffer(4096)
      for isBatch in [false, true] {
        let requests = (0..<500).map { (index: Int) -> TestRequest in
          if index % 50 == 49 { return TestRequest(operation: .flush) }
          return TestRequest(
            operation: .read, memory: buffer.base, byteCount: 4096,
            byteOffset: UInt64(index) * 4096)
        }
        if isBatch {
          device.submit(contentsOf: requests)
        } else {
          for request in requests { device.submit(request) }
        }
        for request in requests {
          #expect(await request.result() == nil)
          #expect(request.completionCount == 1)
        }
      }
      #expect(device.statistics.readCount == 980)
      #expect(device.statistics.queuedCount == 0)
    }
  }

  @Test(arguments: engines) func closeFinishesWhatIsInFlight(_ engine: DeviceEngine) async throws {
    let options = DeviceOptions(contextCount: 2, queueDepth: 4, threadCount: 2)
    try await Self.withDevice(engine, options) { device in
      let buffer = Buffer(65536)
      let requests = (0..<200).map {
        TestRequest(
          operation: .read, memory: buffer.base, byteCount: 65536,
          byteOffset: UInt64($0 % 64) * 65536)
      }
      device.submit(contentsOf: requests)
      device.close()
      #expect(requests.map(\.completionCount) == Array(repeating: 1, count: 200))
      for request in requests { #expect(await request.result() == nil) }
      let late = await device.perform(.read, buffer, byteCount: 4096)
      #expect(
        late == IOError(operation: .read, byteOffset: 0, byteCount: 4096, errorNumber: ESHUTDOWN))
      device.close()
      #expect(device.statistics.inFlightCount == 0)
    }
  }

  @Test(arguments: engines) func closeRacesSubmitters(_ engine: DeviceEngine) async throws {
    for _ in 0..<20 {
      let options = DeviceOptions(contextCount: 2, queueDepth: 2, threadCount: 2)
      try await Self.withDevice(engine, options) { device in
        let counts = await withTaskGroup(of: (done: Int, refused: Int).self) { group in
          for _ in 0..<4 {
            group.addTask {
              let buffer = Buffer(4096)
              var (done, refused) = (0, 0)
              while refused == 0 {
                let error = await device.perform(.read, buffer, byteCount: 4096)
                if error == nil { done += 1 } else { refused += 1 }
                if let error { #expect(error.errorNumber == ESHUTDOWN) }
                if done == 20 { device.close() }
              }
              return (done, refused)
            }
          }
          return await group.reduce(into: [Int]()) { $0.append($1.done) }
        }
        #expect(counts.count == 4)
        #expect(device.statistics.readCount == UInt64(counts.reduce(0, +)))
      }
    }
  }

  @Test(arguments: engines) func manyThreads(_ engine: DeviceEngine) async throws {
    let options = DeviceOptions(contextCount: 2, queueDepth: 16, threadCount: 4)
    try await Self.withDevice(engine, options) { device in
      // Each task owns pages of its own and reads back what it wrote, at varying places.
      await withTaskGroup(of: Void.self) { group in
        for task in 0..<8 {
          group.addTask {
            let (written, read) = (Buffer(4096), Buffer(4096))
            for round in 0..<100 {
              let place = UInt64(task * 128 + round * 37 % 128) * 4096
              let byte = UInt8(truncatingIfNeeded: task &* 31 &+ round &* 7 &+ 1)
              memset(written.base, Int32(byte), 4096)
              #expect(await device.perform(.write, written, byteCount: 4096, at: place) == nil)
              #expect(await device.perform(.read, read, byteCount: 4096, at: place) == nil)
              #expect(read.isFilled(with: byte, byteCount: 4096))
            }
          }
        }
      }
      #expect(device.statistics.writeCount == 800 && device.statistics.readCount == 800)
    }
  }

  /// A request that submits itself again from `complete`, on the device's own thread.
  private final class Chain: IORequest, @unchecked Sendable {
    let device: any BlockDevice
    let left = Atomic<Int>(300)
    let done: TestRequest
    init(_ device: any BlockDevice, _ buffer: Buffer, _ done: TestRequest) {
      self.device = device
      self.done = done
      super.init(operation: .read, memory: buffer.base, byteCount: 512)
    }
    override func complete(_ error: IOError?) {
      if error != nil || left.wrappingSubtract(1, ordering: .relaxed).newValue == 0 {
        done.complete(error)
      } else {
        device.submit(self)
      }
    }
  }

  @Test(arguments: engines) func completionsMaySubmit(_ engine: DeviceEngine) async throws {
    let options = DeviceOptions(contextCount: 1, queueDepth: 1, threadCount: 1)
    try await Self.withDevice(engine, options) { device in
      let buffer = Buffer(4096)
      let ends = (0..<4).map { _ in TestRequest() }
      for end in ends { device.submit(Chain(device, buffer, end)) }
      for end in ends { #expect(await end.result() == nil) }
      #expect(device.statistics.readCount == 1200)
    }
  }

  @Test(arguments: engines) func slowRequestsAreReported(_ engine: DeviceEngine) async throws {
    let reports = Mutex<[SlowRequest]>([])
    // Every request is older than nothing: each is reported once.
    let options = DeviceOptions(slowRequestNanoseconds: 0) { slow in
      reports.withLock { $0.append(slow) }
    }
    try await Self.withDevice(engine, options) { device in
      let buffer = Buffer(4096)
      for index in 0..<10 {
        let place = UInt64(index) * 4096
        #expect(await device.perform(.read, buffer, byteCount: 4096, at: place) == nil)
      }
      #expect(device.statistics.slowRequestCount == 10)
      let seen = reports.withLock { $0 }
      #expect(seen.map(\.byteOffset) == (0..<10).map { UInt64($0) * 4096 })
      #expect(seen.allSatisfy { $0.operation == .read && $0.byteCount == 4096 })
    }
  }

  /// A host's thread that submits and then waits for something else is left alone.
  @Test(arguments: engines) func submittingInterruptsNothing(_ engine: DeviceEngine) throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
    let device = try Devices.start(file, engine: engine).device
    let buffer = Buffer(4096)
    for index in 0..<100 {
      let request = TestRequest(
        operation: .read, memory: buffer.base, byteCount: 4096,
        byteOffset: UInt64(index % 16) * 4096)
      device.submit(request)
      #expect(poll(nil, 0, 2) == 0, "errno \(errno)")
    }
    device.close()
    #expect(device.statistics.readCount == 100)
  }

  @Test(arguments: engines) func readOnlyDevice(_ engine: DeviceEngine) async throws {
    let folder = try TestFolder()
    try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536)).close()
    let opened = try await Devices.open(
      folder.file(), openOptions: OpenOptions(access: .readOnly), engine: engine)
    defer { opened.device.close() }
    let buffer = Buffer(4096)
    #expect(await opened.device.perform(.read, buffer, byteCount: 4096) == nil)
    #expect(await opened.device.perform(.write, buffer, byteCount: 4096)?.errorNumber == EBADF)
    #expect(await opened.device.perform(.flush) == nil)
  }

  @Test(arguments: engines) func aShrunkFileIsAnError(_ engine: DeviceEngine) async throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
    let opened = try Devices.start(file, engine: engine)
    defer { opened.device.close() }
    #expect(truncate(folder.file(), 6144) == 0)
    let buffer = Buffer(8192)
    // The kernel transfers 6144 of 8192 bytes; the continuation meets the end of the file.
    #expect(await opened.device.perform(.read, buffer, byteCount: 8192)?.errorNumber == EIO)
    #expect(await opened.device.perform(.read, buffer, byteCount: 4096, at: 8192) != nil)
  }

  @Test(arguments: engines) func aDroppedDeviceEndsItsThreads(_ engine: DeviceEngine) async throws {
    let folder = try TestFolder()
    try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536)).close()
    let buffer = Buffer(4096)
    let request = TestRequest(operation: .read, memory: buffer.base, byteCount: 4096)
    func startAndDrop() throws {
      let opened = try Devices.start(DirectFile.open(folder.file()), engine: engine)
      opened.device.submit(request)
    }
    try startAndDrop()
    #expect(await request.result() == nil)
    // The locks are gone: the file can be opened again.
    try DirectFile.open(folder.file()).close()
  }

  @Test(
    .enabled(if: LoopDevice.isAvailable, "loop devices need root"), arguments: engines)
  func loopDevice(_ engine: DeviceEngine) async throws {
    let loop = try LoopDevice(byteCount: 4 << 20)
    let file = try DirectFile.create(loop.path, options: CreateOptions())
    #expect(file.kind == .blockDevice && file.byteCount == 4 << 20)
    let opened = try Devices.start(file, engine: engine)
    defer { opened.device.close() }
    let (written, read) = (Buffer(4096, filledWith: 7), Buffer(4096))
    #expect(await opened.device.perform(.writeDurably, written, byteCount: 4096, at: 8192) == nil)
    #expect(await opened.device.perform(.flush) == nil)
    #expect(await opened.device.perform(.read, read, byteCount: 4096, at: 8192) == nil)
    #expect(read.isFilled(with: 7, byteCount: 4096))
    let beyond = await opened.device.perform(.write, written, byteCount: 4096, at: 4 << 20)
    #expect(beyond?.errorNumber == ENOSPC)
  }
}
