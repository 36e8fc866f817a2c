import Testing
import VarveIO

@testable import VarveTesting

@Suite struct SimulatedCrashTests {
  private typealias Density = CrashEnumerator.Density

  private func device() -> SimulatedDevice {
    SimulatedDevice(byteCount: 65536, delivery: .manual)
  }

  private func states(
    _ device: SimulatedDevice, _ crash: Crash, sectorCount: Int, at boundary: Int? = nil
  ) -> [[UInt8]] {
    CrashEnumerator(
      device.history, crash: crash, boundaries: boundary.map { $0...$0 }
    ).map { $0.firstBytes(sectorCount) }
  }

  @Test func oneSectorIsThereOrNot() {
    let device = device()
    device.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1)))
    device.deliver()
    device.start(Transfer.flush())
    device.deliver()
    // 0: nothing yet. 1: submitted. 2: completed. 3: flush submitted. 4: flushed.
    #expect(states(device, .power, sectorCount: 1, at: 0) == [[0]])
    #expect(states(device, .power, sectorCount: 1, at: 1) == [[0], [1]])
    #expect(states(device, .power, sectorCount: 1, at: 3) == [[0], [1]])
    #expect(states(device, .power, sectorCount: 1, at: 4) == [[1]])
    #expect(states(device, .kill, sectorCount: 1, at: 1) == [[0], [1]])
    #expect(states(device, .kill, sectorCount: 1, at: 2) == [[1]])
    // All boundaries together: each image once.
    #expect(states(device, .power, sectorCount: 1) == [[0], [1]])
  }

  @Test func everySubsetOfFewSectors() {
    let device = device()
    device.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1)))
    device.start(Transfer(.write, at: 512, bytes: sectors(2, of: 2)))
    let all = states(device, .power, sectorCount: 3)
    #expect(all.count == 8)
    #expect(Set(all).count == 8)
    #expect(Set(states(device, .kill, sectorCount: 3)) == Set(all))
    device.deliver()
    #expect(states(device, .kill, sectorCount: 3, at: 3).count == 4, "the first is certain now")
    #expect(states(device, .power, sectorCount: 3, at: 3).count == 8)
  }

  @Test func overlappingWritesLeaveAnyOfTheirVersions() {
    let device = device()
    for version in 1...3 as ClosedRange<UInt8> {
      device.start(Transfer(.write, at: 0, bytes: sectors(1, of: version)))
      device.deliver()
    }
    #expect(Set(states(device, .power, sectorCount: 1, at: 6)) == [[0], [1], [2], [3]])
    #expect(states(device, .kill, sectorCount: 1, at: 6) == [[3]])
  }

  @Test func manyWritesAreSampledByRule() {
    var random = SeededGenerator(seed: 1)
    let density = Density(maximumExhaustiveCount: 2, randomSubsetCount: 0, tornWriteCount: 0)
    let choices = density.choices(sectorCounts: [1, 1, 1, 1], random: &random)
    // Five prefixes (none and all among them), four omissions, four alone; of these the last
    // omission is a prefix and the first alone too.
    #expect(choices.count == 13)
    #expect(Set(choices).count == 11)
    #expect(choices.map(\.summary).contains("-+--"))
    #expect(choices.map(\.summary).contains("+-++"))
  }

  @Test func theLastWritesAreTorn() {
    var random = SeededGenerator(seed: 1)
    let density = Density(maximumExhaustiveCount: 1, randomSubsetCount: 0, tornWriteCount: 1)
    let summaries = Set(
      density.choices(sectorCounts: [2, 4], random: &random).map(\.summary))
    for wanted in ["--", "-+", "+-", "++", "+(1000)", "+(1100)", "+(1110)", "+(0111)", "+(0001)"] {
      #expect(summaries.contains(wanted), "\(wanted) of \(summaries.sorted())")
    }
    #expect(!summaries.contains { $0.hasPrefix("-(") })
  }

  @Test func marksBringImagesBack() {
    let device = device()
    device.start(Transfer(.write, at: 0, bytes: sectors(1, of: 1)))
    device.deliver()
    device.start(Transfer.read(at: 0, byteCount: 512))
    device.deliver()
    let images = Array(CrashEnumerator(device.history, crash: .power, marks: [2]))
    #expect(images.map(\.eventIndex) == [0, 1, 2, 2])
    #expect(Set(images.map(\.digest)).count == 2)
  }

  @Test func imagesAreIndependentDevices() {
    let device = device()
    device.start(Transfer(.write, at: 0, bytes: sectors(16, of: 1)))
    device.close()
    let images = Array(CrashEnumerator(device.history, crash: .power))
    #expect(images.count > 20)
    #expect(Set(images.map(\.digest)).count == images.count)
    let first = images[0].makeDevice(delivery: .inline)
    first.start(Transfer(.write, at: 4096, bytes: sectors(1, of: 9)))
    #expect(images.allSatisfy { $0.image.read(at: 4096, byteCount: 1)[0] != 9 })
    let nested = SimulatedDevice(crashed: images[1], delivery: .inline)
    #expect(
      nested.durable.read(at: 0, byteCount: 4096)
        == images[1].image.read(at: 0, byteCount: 4096))
    let sampled = CrashEnumerator(
      device.history, crash: .power, density: Density(samplingInterval: 4))
    #expect((1..<images.count).contains(Array(sampled).count))
  }

  @Test func theSameSeedGivesTheSameImages() {
    let device = device()
    for page in 0..<8 {
      let bytes = sectors(8, of: UInt8(page + 1))
      device.start(Transfer(.write, at: UInt64(page) * 4096, bytes: bytes))
    }
    func digests(_ seed: UInt64) -> [UInt64] {
      CrashEnumerator(device.history, crash: .power, seed: seed).map(\.digest)
    }
    #expect(digests(1) == digests(1))
    #expect(digests(1) != digests(2))
    // The durable images of a run of flushed writes are certain again.
    while device.deliver() {}
    device.start(Transfer.flush())
    device.close()
    let last = device.eventCount
    let final = CrashEnumerator(device.history, crash: .power, boundaries: last...last)
    #expect(Array(final).count == 1)
  }
}
