import Glibc
import Synchronization
import Testing

@testable import VarveIO

/// What shows only after a while, or when the hardware goes away.
@Suite struct EnduranceTests {
  /// Requests that submit themselves again until so many have been completed.
  private final class Wheel: Sendable {
    let left: Atomic<Int>
    let running: Atomic<Int>
    let failed = Atomic<Bool>(false)

    init(operationCount: Int, requestCount: Int) {
      left = Atomic(operationCount)
      running = Atomic(requestCount)
    }
  }

  private final class Spoke: IORequest, @unchecked Sendable {
    let device: any BlockDevice
    let wheel: Wheel

    init(_ device: any BlockDevice, _ wheel: Wheel, _ buffer: Buffer) {
      self.device = device
      self.wheel = wheel
      super.init(operation: .read, memory: buffer.base, byteCount: 4096)
    }

    override func complete(_ error: IOError?) {
      if error != nil { wheel.failed.store(true, ordering: .relaxed) }
      let left = wheel.left.wrappingSubtract(1, ordering: .relaxed).newValue
      if left > 0 {
        byteOffset = UInt64(left) % 64 * 4096
        device.submit(self)
      } else {
        wheel.running.wrappingSubtract(1, ordering: .releasing)
      }
    }
  }

  /// Resident memory of the process, in bytes.
  private static func residentByteCount() -> Int {
    let fields = KernelText.read("/proc/self/statm").split(separator: " ")
    return (Int(fields.dropFirst().first ?? "") ?? 0) * 4096
  }

  /// Turns the wheel, and says whether all went well.
  private static func turn(_ device: any BlockDevice, operationCount: Int) -> Bool {
    let wheel = Wheel(operationCount: operationCount, requestCount: 32)
    let buffer = Buffer(4096)
    for _ in 0..<32 { device.submit(Spoke(device, wheel, buffer)) }
    // Blocks, as a process that is all this test's may.
    while wheel.running.load(ordering: .acquiring) > 0 { usleep(1000) }
    return !wheel.failed.load(ordering: .relaxed)
  }

  /// Memory does not grow with the operations: 100,000, or ten million with `VARVE_LONG_TESTS`.
  /// In a process of its own, where nothing else takes memory.
  @Test func memoryDoesNotGrow() async {
    await #expect(processExitsWith: .success) {
      let operationCount = getenv("VARVE_LONG_TESTS") == nil ? 100_000 : 10_000_000
      for engine in DeviceConformanceTests.engines {
        let folder = try TestFolder()
        let file = try DirectFile.create(
          folder.file(), options: CreateOptions(byteCount: 64 * 4096))
        let device = try Devices.start(file, engine: engine).device
        guard Self.turn(device, operationCount: 20_000) else { exit(2) }
        let before = Self.residentByteCount()
        guard Self.turn(device, operationCount: operationCount) else { exit(3) }
        guard Self.residentByteCount() < before + (1 << 20) else { exit(4) }
        guard device.statistics.inFlightCount == 0, device.statistics.queuedCount == 0 else {
          exit(5)
        }
        device.close()
      }
    }
  }

  /// A block device that shrinks to nothing under its user: every request comes back, as an error.
  @Test(
    .enabled(if: LoopDevice.isAvailable, "loop devices need root"),
    arguments: DeviceConformanceTests.engines)
  func aDeviceThatVanishes(_ engine: DeviceEngine) async throws {
    let loop = try LoopDevice(byteCount: 4 << 20)
    let device = try Devices.start(
      DirectFile.create(loop.path, options: CreateOptions()), engine: engine
    ).device
    let buffer = Buffer(4096)
    #expect(await device.perform(.write, buffer, byteCount: 4096) == nil)
    #expect(truncate(loop.folder.file("backing"), 0) == 0)
    #expect(run("losetup --set-capacity \(loop.path)").status == 0)
    let requests = (0..<200).map {
      TestRequest(
        operation: $0 % 2 == 0 ? .read : .write, memory: buffer.base, byteCount: 4096,
        byteOffset: UInt64($0) * 4096)
    }
    device.submit(contentsOf: requests)
    for request in requests {
      let error = try #require(await request.result())
      #expect(error.byteCount == 4096 && error.byteOffset == request.byteOffset)
      #expect(error.errorNumber == (request.operation == .read ? EIO : ENOSPC))
    }
    device.close()
  }
}
