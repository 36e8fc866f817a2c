import CVarveAIO
import Glibc
import Testing
import VarveTesting

@testable import VarveIO

/// Requests over several pieces of memory.
@Suite struct VectoredTests {
  /// More pieces than one call takes, of different lengths, so that a call ends inside none.
  private func pieces(_ buffer: Buffer, _ sectorCounts: [Int]) -> [IOSegment] {
    var byteOffset = 0
    return sectorCounts.map { sectorCount in
      // A gap between them: they are no single piece by accident.
      defer { byteOffset += (sectorCount + 1) * 512 }
      return IOSegment(memory: buffer.base + byteOffset, byteCount: sectorCount * 512)
    }
  }

  private static let sectorCounts = (0..<40).map { 1 + $0 % 5 }

  private func check(_ device: any BlockDevice) async {
    let (source, target) = (Buffer(1 << 17), Buffer(1 << 17))
    let byteCount = Self.sectorCounts.reduce(0, +) * 512
    var sector = 0
    for piece in pieces(source, Self.sectorCounts) {
      for start in stride(from: 0, to: piece.byteCount, by: 512) {
        memset(piece.memory + start, Int32(sector % 251 + 1), 512)
        sector += 1
      }
    }
    for operation in [IOOperation.write, .writeDurably] {
      let write = TestRequest(operation: operation, byteOffset: 65536)
      write.setSegments(pieces(source, Self.sectorCounts))
      #expect(write.byteCount == byteCount)
      device.submit(write)
      #expect(await write.result() == nil)
    }
    let read = TestRequest(operation: .read, byteOffset: 65536)
    read.setSegments(pieces(target, Self.sectorCounts))
    device.submit(read)
    #expect(await read.result() == nil)
    #expect(memcmp(source.base, target.base, 1 << 17) == 0)
    // In one piece, the sectors follow each other.
    let whole = Buffer(byteCount)
    #expect(await device.perform(.read, whole, byteCount: byteCount / 512 * 512, at: 65536) == nil)
    #expect((0..<byteCount / 512).allSatisfy { whole[$0 * 512] == UInt8($0 % 251 + 1) })
  }

  @Test(arguments: DeviceConformanceTests.engines)
  func piecesAreOneTransfer(_ engine: DeviceEngine) async throws {
    try await DeviceConformanceTests.withDevice(engine) { await check($0) }
  }

  @Test func simulatedDevicesTakePieces() async {
    let ram = RAMDevice(byteCount: 1 << 20)
    await check(ram)
    ram.close()
    let simulated = SimulatedDevice(byteCount: 1 << 20)
    await check(simulated)
    simulated.close()
  }

  @Test(arguments: DeviceConformanceTests.engines)
  func piecesThatAreNotAlignedAreRefused(_ engine: DeviceEngine) async throws {
    try await DeviceConformanceTests.withDevice(engine) { device in
      let buffer = Buffer(8192)
      for (start, byteCount) in [(1, 512), (512, 100), (512, 0)] {
        let request = TestRequest(operation: .read)
        request.setSegments([
          IOSegment(memory: buffer.base, byteCount: 512),
          IOSegment(memory: buffer.base + start, byteCount: byteCount),
        ])
        device.submit(request)
        #expect(await request.result()?.errorNumber == EINVAL)
      }
    }
  }

  @Test(arguments: DeviceConformanceTests.engines)
  func sumsThatDoNotFitAreRefused(_ engine: DeviceEngine) async throws {
    try await DeviceConformanceTests.withDevice(engine) { device in
      let buffer = Buffer(4096)
      let huge = IOSegment(memory: buffer.base, byteCount: Int.max & ~511)
      let request = TestRequest(operation: .write)
      request.setSegments([huge, huge, huge])
      device.submit(request)
      #expect(await request.result()?.errorNumber == EINVAL)
      let flush = TestRequest(operation: .flush, byteCount: -1)
      device.submit(flush)
      #expect(await flush.result()?.errorNumber == EINVAL)
    }
  }

  /// A request that is used again for a flush flushes, whatever memory it has left.
  @Test(arguments: DeviceConformanceTests.engines)
  func aFlushWritesNothing(_ engine: DeviceEngine) async throws {
    try await DeviceConformanceTests.withDevice(engine) { device in
      let (source, target) = (Buffer(4096, filledWith: 1), Buffer(4096))
      let request = TestRequest(operation: .write)
      request.setSegments(pieces(source, [1, 2]))
      device.submit(request)
      #expect(await request.result() == nil)
      memset(source.base, 2, 4096)
      request.operation = .flush
      device.submit(request)
      #expect(await request.result() == nil)
      #expect(await device.perform(.read, target, byteCount: 1536) == nil)
      #expect(target.isFilled(with: 1, byteCount: 1536))
      #expect(device.statistics.flushCount == 1)
    }
  }

  /// A transfer that ends inside a piece goes on there.
  @Test func aShortTransferGoesOnInsideAPiece() {
    let buffer = Buffer(65536)
    let request = TestRequest(operation: .read)
    request.setSegments(pieces(buffer, [2, 3, 4]))
    request.beginTransfer()
    withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
      // Two of three pieces fit a call: five sectors, of which four come.
      #expect(request.fillRemainingVectors(vectors) == 2)
      #expect(request.submittedByteCount == 5 * 512)
      #expect(request.advance(result: 4 * 512) == .continued)
      #expect(request.fillRemainingVectors(vectors) == 2)
      #expect(vectors[0].iov_len == 512 && vectors[1].iov_len == 4 * 512)
      #expect(vectors[0].iov_base == buffer.base + (3 + 2) * 512)
      #expect(request.advance(result: 5 * 512) == .done)
    }
    #expect(request.continuationCount == 1)
  }
}
