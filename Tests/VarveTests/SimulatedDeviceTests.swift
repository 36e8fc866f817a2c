import Glibc
import Testing
import VarveIO

@testable import VarveTesting

@Suite struct SimulatedDeviceTests {
  @Test(arguments: [Delivery.background, .inline])
  func ramDeviceKeepsWhatIsWritten(delivery: Delivery) async {
    let device = RAMDevice(byteCount: 1 << 30, delivery: delivery)
    var random = SeededGenerator(seed: 11)
    // Across the border of two chunks.
    let bytes = random.bytes(8192)
    let place = UInt64(SparseImage.chunkByteCount * 9000 - 4096)
    let write = device.start(Transfer(.write, at: place, bytes: bytes))
    await write.wait()
    let read = device.start(Transfer.read(at: place - 4096, byteCount: 16384))
    await read.wait()
    #expect(read.error == nil)
    #expect(read.bytes == [UInt8](repeating: 0, count: 4096) + bytes + sectors(8, of: 0))
    #expect(device.image.residentByteCount == 2 * SparseImage.chunkByteCount)
    let copy = device.copy(delivery: .inline)
    copy.start(Transfer(.write, at: place, bytes: sectors(1, of: 7)))
    #expect(device.image.read(at: place, byteCount: 8192) == bytes)
    device.close()
    device.close()
    let late = device.start(Transfer.flush())
    #expect(late.error?.errorNumber == ESHUTDOWN)
    #expect(device.image.read(at: place, byteCount: 8192) == bytes)
  }

  @Test func requestsThatAKernelRefusesAreRefused() {
    let device = RAMDevice(byteCount: 8192, delivery: .inline)
    #expect(device.start(Transfer.read(at: 8192, byteCount: 512)).error?.errorNumber == EIO)
    #expect(
      device.start(Transfer(.write, at: 7680, bytes: sectors(2, of: 1))).error?.errorNumber
        == ENOSPC)
    #expect(device.start(Transfer.read(at: 100, byteCount: 512)).error?.errorNumber == EINVAL)
    #expect(device.start(Transfer.read(at: 0, byteCount: 513)).error?.errorNumber == EINVAL)
    #expect(
      device.start(Transfer.read(at: .max - 511, byteCount: 1024)).error?.errorNumber == EIO)
  }

  @Test func closeCompletesWhatWasAccepted() async {
    for _ in 0..<20 {
      let device = RAMDevice(byteCount: 1 << 20)
      let writes = (0..<64).map { Transfer(.write, at: $0 * 4096, bytes: sectors(8, of: 3)) }
      device.submit(contentsOf: writes)
      device.close()
      #expect(writes.allSatisfy { $0.isDone && $0.error == nil })
    }
  }

  @Test(arguments: [Delivery.background, .inline])
  func completedRequestsAreLetGo(delivery: Delivery) async {
    let device = RAMDevice(byteCount: 8192, delivery: delivery)
    weak var first: Transfer?
    do {
      let write = device.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1)))
      await write.wait()
      first = write
      device.close()
    }
    #expect(first == nil, "the device keeps a request and thus whoever made it")
  }

  @Test func aFlushCoversOnlyCompletionsDeliveredBefore() {
    let device = SimulatedDevice(byteCount: 4096, delivery: .manual)
    device.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1)))
    device.deliver()
    device.start(Transfer(.write, at: 512, bytes: sectors(1, of: 2)))
    device.start(Transfer.flush())
    #expect(device.firstBytes(2) == [1, 0])
    device.deliver()
    device.deliver()
    // The second write completed before the flush did, but after it was submitted.
    #expect(device.firstBytes(2) == [1, 2])
    #expect(device.firstBytes(2, durable: true) == [1, 0])
    device.start(Transfer.flush())
    device.close()
    #expect(device.firstBytes(2, durable: true) == [1, 2])
  }

  @Test func aDurableWriteMakesItselfDurableAndNothingElse() {
    let device = SimulatedDevice(byteCount: 4096, delivery: .inline)
    device.start(Transfer(.write, at: 0, bytes: sectors(3, of: 1)))
    device.start(Transfer(.writeDurably, at: 512, bytes: sectors(1, of: 2)))
    #expect(device.firstBytes(3) == [1, 2, 1])
    #expect(device.firstBytes(3, durable: true) == [0, 2, 0])
    // The older write cannot come back over it.
    let images = Array(CrashEnumerator(device.history, crash: .power, boundaries: 4...4))
    #expect(
      Set(images.map { $0.firstBytes(3) }) == [[0, 2, 0], [1, 2, 0], [0, 2, 1], [1, 2, 1]])
  }

  @Test func completionOrderFollowsTheSeed() {
    func order(_ seed: UInt64?) -> [UInt64] {
      let device = SimulatedDevice(byteCount: 1 << 20, seed: seed, delivery: .manual)
      for page in 0..<16 {
        device.start(Transfer(.write, at: UInt64(page) * 4096, bytes: sectors(8, of: 1)))
      }
      while device.deliver() {}
      return device.history.events.compactMap {
        if case .writeCompleted(let ticket, _, _) = $0 { ticket } else { nil }
      }
    }
    #expect(order(nil) == Array(0..<16))
    #expect(order(5) == order(5))
    #expect(order(5) != order(6))
    #expect(order(5).sorted() == Array(0..<16))
  }

  @Test func backgroundCompletionsReachTheirRequests() async {
    let device = SimulatedDevice(byteCount: 1 << 20, seed: 3)
    let writes = (0..<100).map { page in
      Transfer(.write, at: UInt64(page) * 4096, bytes: sectors(8, of: UInt8(page)))
    }
    device.submit(contentsOf: writes)
    for write in writes { await write.wait() }
    let flush = device.start(Transfer.flush())
    await flush.wait()
    device.close()
    #expect(device.durable.read(at: 99 * 4096, byteCount: 4096) == sectors(8, of: 99))
    #expect(device.eventCount == 202)
    #expect(device.start(Transfer.flush()).error?.errorNumber == ESHUTDOWN)
    #expect(device.eventCount == 202, "what is refused after close leaves no event")
  }

  @Test func digestFollowsContent() {
    var one = SparseImage(byteCount: 1 << 20)
    one.trackDigest()
    #expect(one.digest == 0)
    one.write(sectors(4, of: 5), at: 65536 - 1024)
    var other = SparseImage(byteCount: 1 << 20)
    other.write(sectors(3, of: 5), at: 65536 - 512)
    other.write(sectors(1, of: 5), at: 65536 - 1024)
    other.trackDigest()
    #expect(one.digest == other.digest && one.digest != 0)
    one.write(sectors(4, of: 0), at: 65536 - 1024)
    #expect(one.digest == 0)
    other.resize(to: 65536)
    other.resize(to: 1 << 20)
    #expect(other.read(at: 65536, byteCount: 512) == sectors(1, of: 0))
    #expect(other.read(at: 65024, byteCount: 512) == sectors(1, of: 5))
  }
}
