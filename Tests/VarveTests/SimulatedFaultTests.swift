import Glibc
import Testing
import VarveIO

@testable import VarveTesting

@Suite struct SimulatedFaultTests {
  private func device(_ plan: FaultPlan, byteCount: UInt64 = 65536) -> SimulatedDevice {
    SimulatedDevice(byteCount: byteCount, faults: plan, delivery: .inline)
  }

  private func errors(_ device: SimulatedDevice, _ transfers: [Transfer]) -> [Int32] {
    transfers.map { device.start($0).error?.errorNumber ?? 0 }
  }

  @Test func occurrencesFailOnceOrForEver() {
    let plan = FaultPlan().failing(.read, .once(1)).failing(.write, .from(2), errorNumber: ENOSPC)
    let device = device(plan)
    let reads = (0..<4).map { _ in Transfer.read(at: 0, byteCount: 512) }
    #expect(errors(device, reads) == [0, EIO, 0, 0])
    let writes = (0..<4).map { index in
      Transfer(index % 2 == 0 ? .write : .writeDurably, at: 0, bytes: sectors(1, of: 1))
    }
    #expect(errors(device, writes) == [0, 0, ENOSPC, ENOSPC])
    device.install(FaultPlan().full(fromWrite: 1))
    #expect(
      errors(device, (0..<3).map { _ in Transfer(.write, at: 0, bytes: sectors(1, of: 1)) })
        == [0, ENOSPC, ENOSPC])
  }

  @Test func rangesFailWhereTheyAreTouched() {
    let device = device(
      FaultPlan().failing(.read, .touching(512..<1024))
        .failing(.read, .touchingTimes(2048..<2049, 2)))
    let places: [(UInt64, Int)] = [(0, 512), (0, 1024), (512, 512), (1024, 512)]
    #expect(
      errors(device, places.map { Transfer.read(at: $0, byteCount: $1) }) == [0, EIO, EIO, 0])
    let again = (0..<3).map { _ in Transfer.read(at: 2048, byteCount: 512) }
    #expect(errors(device, again) == [EIO, EIO, 0])
  }

  @Test func aFailedWriteLandsOnAnySectors() {
    var outcomes: Set<[UInt8]> = []
    for seed in 0..<64 as Range<UInt64> {
      let device = device(FaultPlan(seed: seed).failing(.write, .once(0)))
      #expect(device.start(Transfer(.write, at: 0, bytes: sectors(2, of: 1))).error != nil)
      outcomes.insert(device.firstBytes(2))
    }
    #expect(outcomes == [[0, 0], [0, 1], [1, 0], [1, 1]])
  }

  @Test func tornWritesLandInPart() {
    for seed in 0..<32 as Range<UInt64> {
      let device = device(FaultPlan(seed: seed).tearingWrite(.once(0)))
      #expect(device.start(Transfer(.write, at: 0, bytes: sectors(8, of: 1))).error == nil)
      let landed = Set(device.firstBytes(8))
      #expect(landed == [0, 1], "seed \(seed)")
    }
  }

  @Test func lostAndMisdirectedWritesAreAcknowledged() {
    let device = device(
      FaultPlan().losingWrite(.once(0)).misdirectingWrite(.once(1), to: 1024))
    #expect(device.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1))).error == nil)
    #expect(device.start(Transfer(.write, at: 512, bytes: sectors(1, of: 2))).error == nil)
    device.start(Transfer.flush())
    #expect(device.firstBytes(3) == [0, 0, 2])
    #expect(device.firstBytes(3, durable: true) == [0, 0, 2])
  }

  @Test func aFailedFlushMakesNothingDurable() {
    let plain = device(FaultPlan().failingFlush(at: 0, losingData: false))
    plain.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1)))
    #expect(plain.start(Transfer.flush()).error?.errorNumber == EIO)
    #expect(plain.firstBytes(1, durable: true) == [0])
    #expect(plain.start(Transfer.flush()).error == nil)
    #expect(plain.firstBytes(1, durable: true) == [1])
  }

  @Test func aFlushMayLoseDataAndThenSucceed() {
    let device = device(FaultPlan().failingFlush(at: 0, losingData: true))
    device.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1)))
    #expect(device.start(Transfer.flush()).error?.errorNumber == EIO)
    device.start(Transfer(.write, at: 512, bytes: sectors(1, of: 2)))
    #expect(device.start(Transfer.flush()).error == nil)
    #expect(device.firstBytes(2) == [1, 2], "reads go on")
    #expect(device.firstBytes(2, durable: true) == [0, 2])
    let count = device.eventCount
    let images = CrashEnumerator(device.history, crash: .power, boundaries: count...count)
    #expect(Set(images.map { $0.firstBytes(2) }) == [[0, 2], [1, 2]])
  }

  @Test func rotFlipsBitsOfTheMedium() {
    let device = device(FaultPlan(seed: 9))
    device.start(Transfer(.write, at: 512, bytes: sectors(1, of: 0)))
    device.rot(in: 600..<601)
    let sector = device.visible.read(at: 512, byteCount: 512)
    #expect(sector.filter { $0 != 0 }.count == 1)
    #expect(sector[88].nonzeroBitCount == 1)
    #expect(device.durable.read(at: 512, byteCount: 512) == sector)
  }

  @Test func aShrunkDeviceEndsEarlier() {
    let device = device(FaultPlan())
    device.shrink(to: 4096)
    #expect(device.byteCount == 4096)
    #expect(device.start(Transfer.read(at: 4096, byteCount: 512)).error?.errorNumber == EIO)
    #expect(
      device.start(Transfer(.write, at: 4096, bytes: sectors(1, of: 1))).error?.errorNumber
        == ENOSPC)
  }

  @Test func seedsAreStable() {
    var random = SeededGenerator(seed: 1)
    // Published values of SplitMix64: a stored seed means the same run for ever.
    #expect(random.next() == 0x910a_2dec_8902_5cc1)
    #expect(random.next() == 0xbeeb_8da1_658e_ec67)
    #expect((0..<100).allSatisfy { _ in (0..<7).contains(random.below(7)) })
    #expect(random.bytes(13).count == 13)
  }
}
