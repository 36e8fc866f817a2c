import DeviceLoad
import Testing
import VarveIO

@Suite struct SectorTrialTests {
  private func trial(
    reads: Bool? = true, writes: Bool? = nil, agree: Bool? = true
  ) -> SectorTrial {
    var trial = SectorTrial()
    trial.canReadSectors = reads
    trial.canWriteSectors = writes
    trial.doSectorsAgree = agree
    return trial
  }

  private func traits(sector: Int?, announced: Int? = nil) -> DeviceTraits {
    var traits = DeviceTraits()
    traits.logicalSectorByteCount = sector
    traits.offsetAlignment = announced
    return traits
  }

  @Test("What is announced and refused is a lie; what is refused and not announced is none")
  func contradictions() {
    #expect(trial().contradiction(of: traits(sector: 512)) == nil)
    #expect(trial(reads: false).contradiction(of: traits(sector: 512)) != nil)
    #expect(trial(reads: false).contradiction(of: traits(sector: 4096)) == nil)
    #expect(trial(reads: false).contradiction(of: traits(sector: nil)) == nil)
    // A file system may want more than its device.
    #expect(trial(reads: false).contradiction(of: traits(sector: 512, announced: 4096)) == nil)
    #expect(trial(writes: false).contradiction(of: traits(sector: 512)) != nil)
    #expect(trial(writes: true).contradiction(of: traits(sector: 512)) == nil)
    #expect(SectorTrial().contradiction(of: traits(sector: 512)) == nil)
  }

  @Test("Sectors that are not what the page holds are a lie, whatever is announced")
  func disagreement() {
    for sector in [nil, 512, 4096] {
      #expect(trial(agree: false).contradiction(of: traits(sector: sector)) != nil)
    }
  }
}
