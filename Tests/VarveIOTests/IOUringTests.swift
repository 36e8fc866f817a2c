// The engine over io_uring, beyond what every engine promises (DeviceConformanceTests). The tests
// of Tools/cli run this file, too: there the package trait is on.

import CVarveAIO
import CVarveURing
import Glibc
import Testing
import Varve

@testable import VarveIO

/// Whether io_uring can be used here.
enum URing {
  /// Why not, or nil.
  static let refusal: DeviceError? = {
    do throws(DeviceError) {
      _ = try IOUring(requestCapacity: 1)
      return nil
    } catch {
      return error
    }
  }()
  static var isAvailable: Bool { refusal == nil }
}

@Suite struct IOUringErrorTests {
  fileprivate static func start(_ path: String) throws -> DeviceError {
    try deviceError {
      defer { unlink(path) }
      return try Devices.start(
        DirectFile.create(path, options: CreateOptions(byteCount: 65536)), engine: .uring)
    }
  }

  #if !IOUring
    @Test func withoutTheTraitTheRemedyIsNamed() async throws {
      let folder = try TestFolder()
      let error = try Self.start(folder.file())
      #expect(error.code == .unsupported && error.path == folder.file())
      #expect(error.message.contains("enable the package trait IOUring"))
      #expect(error.message.contains("or use another engine"))
      let path = folder.file()
      try await Store.create(path: path, options: FormatOptions(byteCount: 4 << 20))
      let refusal = await #expect(throws: StoreError.self) {
        _ = try await Store.open(path: path, options: StoreOptions(engine: .uring))
      }
      #expect(refusal?.code == .usage && refusal?.message.contains("IOUring") == true)
    }
  #else
    /// The same number on every architecture.
    private static let setUpCall: UInt32 = 425

    /// Ends the process with 0 if the error is as it should be.
    fileprivate static func endWithRefusal(_ errorNumber: Int32) throws -> Never {
      guard refuseSystemCall(setUpCall, errorNumber: errorNumber) else { exit(2) }
      let path = "/var/tmp/varve-io-uring-\(getpid())"
      let error = try start(path)
      guard error.code == .unsupported, error.errorNumber == errorNumber, error.path == path else {
        exit(3)
      }
      let remedies = ["sysctl -w kernel.io_uring_disabled=0", "seccomp", "another engine"]
      guard remedies.allSatisfy(error.message.contains) else { exit(4) }
      exit(0)
    }

    @Test func aPolicyThatForbidsIt() async {
      await #expect(processExitsWith: .success) { try IOUringErrorTests.endWithRefusal(EPERM) }
    }

    @Test func aKernelWithoutIt() async {
      await #expect(processExitsWith: .success) { try IOUringErrorTests.endWithRefusal(ENOSYS) }
    }

    @Test func itIsNeverChosenUnasked() throws {
      let folder = try TestFolder()
      let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
      let opened = try Devices.start(file)
      #expect(opened.engine != .uring)
      opened.device.close()
    }
  #endif

  @Test func aSecondCompletionIsFatal() async {
    await #expect(processExitsWith: .failure) {
      var slots = IOUringSlots(capacity: 4)
      let request = TestRequest(operation: .flush)
      let description = slots.arm(request, descriptor: 0, nanoseconds: 1)
      let completion = varve_uring_completion(cookie: description.cookie, result: 0)
      // The first is as it should be.
      guard slots.disarm(slots.index(of: completion)) === request else { exit(0) }
      _ = slots.index(of: completion)
    }
  }
}

#if IOUring
  @Suite(
    .enabled(
      if: URing.isAvailable,
      "io_uring cannot be used here: \(URing.refusal?.message ?? "no reason")"))
  struct IOUringTests {
    /// The descriptor of a device is exchanged under it for that of something else.
    private func withDevice(
      exchangedFor path: String, flags: Int32, _ body: (IOUringDevice) async throws -> Void
    ) async throws {
      let folder = try TestFolder()
      let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
      let number = file.descriptorNumber
      let device = try IOUringDevice(file)
      let other = open(path, flags)
      #expect(other >= 0 && dup2(other, number) == number)
      close(other)
      try await body(device)
      device.close()
    }

    @Test func aRefusedRequestFailsAlone() async throws {
      try await withDevice(exchangedFor: "/", flags: 0o10000000 /* O_PATH */) { device in
        let buffer = Buffer(4096)
        let requests = (0..<10).map { _ in
          TestRequest(operation: .read, memory: buffer.base, byteCount: 4096)
        }
        device.submit(contentsOf: requests)
        for request in requests { #expect(await request.result()?.errorNumber == EBADF) }
        #expect(requests.map(\.completionCount) == Array(repeating: 1, count: 10))
        #expect(device.statistics.failureCount == 10)
      }
    }

    /// What takes writes and cannot be flushed: only a request that is a flush fails.
    @Test func theKernelIsAskedToFlush() async throws {
      try await withDevice(exchangedFor: "/dev/null", flags: O_RDWR) { device in
        let buffer = Buffer(4096)
        #expect(await device.perform(.write, buffer, byteCount: 4096) == nil)
        #expect(await device.perform(.flush)?.errorNumber == EINVAL)
        let statistics = device.statistics
        #expect(statistics.flushCount == 0 && statistics.failureCount == 1)
      }
    }

    /// Nobody serves the queue at first: what it does not hold is refused, the rest is done.
    @Test func aFullQueueRefuses() async throws {
      let folder = try TestFolder()
      let file = SharedFile(
        try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536)))
      let ring = try IOUring(requestCapacity: 9)
      let shard = IOUringShard(
        wakeEvent: varve_event_create(), file: file, options: DeviceOptions(queueDepth: 8))
      let buffer = Buffer(512)
      let count = DeviceOptions.maximumQueuedCount
      let requests = (0..<count + 10).map { (_: Int) -> TestRequest in
        TestRequest(operation: .read, memory: buffer.base, byteCount: 512)
      }
      for request in requests { request.beginTransfer() }
      shard.submit(requests[..<(count - 1)].map { $0 as IORequest })
      shard.submit(requests[(count - 1)...].map { $0 as IORequest })
      #expect(shard.queuedCount == count)
      for request in requests[count...] { #expect(await request.result()?.errorNumber == EAGAIN) }
      // What goes on after a part of it was transferred has a place even so.
      let continued = TestRequest(operation: .read, memory: buffer.base, byteCount: 512)
      continued.beginTransfer()
      shard.resume(continued)
      let next = TestRequest(operation: .read, memory: buffer.base, byteCount: 512)
      shard.submit(CollectionOfOne(next))
      #expect(await next.result()?.errorNumber == EAGAIN)
      shard.beginClosing()
      try ring.enable()
      var loop = IOUringLoop(shard, ring)
      loop.run()
      #expect(await continued.result() == nil)
      #expect(requests.allSatisfy { $0.completionCount == 1 })
      for request in requests[..<count] { #expect(await request.result() == nil) }
      let late = TestRequest(operation: .flush)
      shard.submit(CollectionOfOne(late))
      #expect(await late.result()?.errorNumber == ESHUTDOWN)
    }

    @Test func aStoreKeepsWhatWasPut() async throws {
      let folder = try TestFolder()
      try await Store.create(path: folder.file(), options: FormatOptions(byteCount: 4 << 20))
      let options = StoreOptions(engine: .uring)
      let store = try await Store.open(path: folder.file(), options: options)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<50 {
          group.addTask { _ = try await store.put("\(number)", "\(number * number)") }
        }
        try await group.waitForAll()
      }
      #expect(try await store.get("7") != nil)
      try await store.close()
      let later = try await Store.open(path: folder.file(), options: options)
      #expect(later.recoveryReport.outcome == .clean)
      for number in 0..<50 {
        let value = try await later.get("\(number)")
        #expect(value?.text == "\(number * number)")
      }
      try await later.close()
    }
  }
#endif
