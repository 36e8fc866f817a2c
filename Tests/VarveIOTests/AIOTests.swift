// The layers below the AIO device, where its faults can be provoked.

import CVarveAIO
import Glibc
import Synchronization
import Testing

@testable import VarveIO

@Suite struct AIOTests {
  @Test func contextsThatDoNotExistAreAClearError() throws {
    let limit = Int(KernelText.read("/proc/sys/fs/aio-max-nr")) ?? 0
    let error = try deviceError { try AIOContext(requestCapacity: limit + 1) }
    #expect(error.code == .resource && error.errorNumber == EAGAIN)
    #expect(error.message.contains("fs.aio-max-nr \(limit)"))
    #expect(error.message.contains("sysctl -w fs.aio-max-nr"))
  }

  /// More slots than the kernel's ring has room: io_submit answers EAGAIN, and nothing is lost.
  @Test func aFullRingHoldsRequestsBack() async throws {
    let folder = try TestFolder()
    let file = SharedFile(
      try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 8 << 20)))
    let context = try AIOContext(requestCapacity: 1)
    let shard = AIOShard(
      submitter: context.submitter(), wakeEvent: varve_event_create(), file: file,
      options: DeviceOptions(queueDepth: 2048))
    let buffer = Buffer(65536)
    let requests = (0..<2048).map {
      TestRequest(
        operation: .read, memory: buffer.base, byteCount: 65536,
        byteOffset: UInt64($0 % 128) * 65536)
    }
    for request in requests { request.beginTransfer() }
    // Nobody reaps yet: what the ring cannot take comes back and waits.
    for request in requests[..<1024] { shard.submit(request) }
    shard.submit(requests[1024...].map { $0 as IORequest }[...])
    #expect(shard.queuedCount.load(ordering: .relaxed) > 0)
    shard.beginClosing()
    shard.reapUntilClosed(context)
    #expect(requests.map(\.completionCount) == Array(repeating: 1, count: 2048))
    for request in requests { #expect(await request.result() == nil) }
    let late = TestRequest(operation: .flush)
    shard.submit(late)
    #expect(await late.result()?.errorNumber == ESHUTDOWN)
  }

  /// Has a file's descriptor allow no I/O any more: io_submit refuses whatever names it.
  static func spoil(_ descriptor: Int32, in folder: TestFolder) {
    let useless = open(folder.path, 0o10000000 /* O_PATH */)
    #expect(useless >= 0 && dup2(useless, descriptor) == descriptor)
    close(useless)
  }

  /// A request that finds the only slot taken is held; when the request in that slot is refused,
  /// nothing is in flight that would ever end the reaper's sleep, so it is woken.
  @Test func aRefusedRequestWakesThoseThatWaitForItsSlot() async throws {
    let folder = try TestFolder()
    let file = SharedFile(
      try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536)))
    let context = try AIOContext(requestCapacity: 2)
    let shard = AIOShard(
      submitter: context.submitter(), wakeEvent: varve_event_create(), file: file,
      options: DeviceOptions(queueDepth: 1))
    Self.spoil(file.descriptor, in: folder)
    let buffer = Buffer(4096)
    let requests = (0..<2).map { _ in
      TestRequest(operation: .read, memory: buffer.base, byteCount: 4096)
    }
    for request in requests { request.beginTransfer() }
    let found = shard.slots.claim(upTo: 1, startingAt: 0)
    let claim = try #require(found)
    shard.submit(requests[1])
    #expect(shard.queuedCount.load(ordering: .relaxed) == 1)
    shard.launch(claim) { requests[0] }
    #expect(requests.map(\.completionCount) == [1, 0])
    var wake = pollfd(fd: shard.wakeEvent, events: Int16(POLLIN), revents: 0)
    #expect(poll(&wake, 1, 0) == 1, "the reaper is told")
    shard.beginClosing()
    shard.reapUntilClosed(context)
    #expect(requests.map(\.completionCount) == [1, 1])
  }

  /// The descriptor is exchanged for one that allows no I/O: io_submit refuses each head in turn.
  @Test func aRefusedHeadFailsAlone() async throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
    let number = file.descriptorNumber
    let device = try AIODevice(file)
    Self.spoil(number, in: folder)
    let buffer = Buffer(4096)
    let requests = (0..<10).map { _ in
      TestRequest(operation: .read, memory: buffer.base, byteCount: 4096)
    }
    device.submit(contentsOf: requests)
    #expect(requests.map(\.completionCount) == Array(repeating: 1, count: 10))
    for request in requests { #expect(await request.result()?.errorNumber == EBADF) }
    #expect(device.statistics.failureCount == 10)
    device.close()
  }

  @Test func shortTransfersAreContinued() {
    let buffer = Buffer(8192)
    let request = TestRequest(operation: .read, memory: buffer.base, byteCount: 8192)
    request.byteOffset = 4096
    request.beginTransfer()
    #expect(request.advance(result: 1024) == .continued)
    #expect(request.remainingByteCount == 7168 && request.remainingByteOffset == 5120)
    #expect(request.remainingMemory == buffer.base + 1024)
    // Not the end of a sector: the whole is repeated.
    #expect(request.advance(result: 100) == .continued)
    #expect(request.remainingByteCount == 8192)
    #expect(request.advance(result: 8192) == .done)
    request.beginTransfer()
    for _ in 0..<DeviceOptions.maximumContinuationCount {
      #expect(request.advance(result: 1) == .continued)
    }
    #expect(request.advance(result: 1) == .failed(EIO))
    request.beginTransfer()
    #expect(request.advance(result: 0) == .failed(EIO))
    #expect(request.advance(result: -5) == .failed(5))
    request.operation = .write
    #expect(request.advance(result: 0) == .failed(ENOSPC))
  }

  @Test func moreBytesThanAskedForAreFatal() async {
    await #expect(processExitsWith: .failure) {
      _ = TestRequest(operation: .read, memory: nil, byteCount: 512).advance(result: 513)
    }
  }

  @Test func aSecondCompletionIsFatal() async {
    await #expect(processExitsWith: .failure) {
      let slots = SlotTable(capacity: 4)
      let request = TestRequest(operation: .flush)
      guard let index = SlotClaim(wordIndex: 0, mask: 1).first else { exit(0) }
      let block = slots.arm(index, request, descriptor: 0, nanoseconds: 1)
      var event = io_event()
      event.data = block.pointee.data
      event.obj = block
      // The first is as it should be.
      guard slots.index(of: event) == index, slots.disarm(index) === request else { exit(0) }
      _ = slots.index(of: event)
    }
  }

  @Test func slotsAreClaimedOnce() {
    let slots = SlotTable(capacity: 70)
    var seen: Set<Int> = []
    while var claim = slots.claim(upTo: 4, startingAt: seen.count) {
      while let index = claim.next() { #expect(seen.insert(index).inserted) }
    }
    let usedCount = slots.usedCount
    #expect(seen == Set(0..<70) && usedCount == 70)
    let whileUsed = slots.claimAll()
    for index in 0..<69 { slots.release(index) }
    let whileOneIsUsed = slots.claimAll()
    let remainingCount = slots.usedCount
    #expect(!whileUsed && !whileOneIsUsed && remainingCount == 1)
    slots.release(69)
    let atRest = slots.claimAll()
    let isClosed = slots.claim(upTo: 1, startingAt: 0) == nil
    #expect(atRest && isClosed)
  }

  private final class PlainRequest: IORequest, @unchecked Sendable {
    var error: IOError?
    override func complete(_ error: IOError?) { self.error = error }
  }

  @Test(arguments: DeviceConformanceTests.engines)
  func aForkedChildIsRefused(_ engine: DeviceEngine) async throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 65536))
    let device = try Devices.start(file, engine: engine).device
    let request = PlainRequest(operation: .flush)
    let child = forkProcess()
    if child == 0 {
      device.submit(request)
      _exit(request.error?.errorNumber == ECHILD ? 42 : 1)
    }
    var status: Int32 = 0
    #expect(waitpid(child, &status, 0) == child)
    #expect(status == 42 << 8)
    // The parent goes on.
    #expect(await device.perform(.flush) == nil)
    device.close()
  }

  /// io_setup refused as a container's policy does: the thread pool steps in, with a warning.
  @Test func threadsStepInWhereAIOIsForbidden() async {
    await #expect(processExitsWith: .success) {
      #if arch(arm64)
        let ioSetup: UInt32 = 0
      #else
        let ioSetup: UInt32 = 206
      #endif
      guard refuseSystemCall(ioSetup, errorNumber: EPERM) else { exit(2) }
      // The filter holds for this thread: no suspension until both devices have been started.
      let path = "/var/tmp/varve-io-policy-\(getpid())"
      func makeFile() throws -> DirectFile {
        defer { unlink(path) }
        return try DirectFile.create(path, options: CreateOptions(byteCount: 4096))
      }
      let error = try deviceError { try Devices.start(makeFile(), engine: .linuxAIO) }
      guard error.code == .unsupported, error.path == path else { exit(3) }
      let opened = try Devices.start(makeFile())
      guard opened.engine == .threads, opened.warnings.contains(where: { $0.contains("io_setup") })
      else { exit(4) }
      guard await opened.device.perform(.flush) == nil else { exit(5) }
      opened.device.close()
    }
  }
}

extension SlotClaim {
  fileprivate var first: Int? {
    var copy = self
    return copy.next()
  }
}
