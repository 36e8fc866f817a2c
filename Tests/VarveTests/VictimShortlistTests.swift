import Testing
import VarveFormat

@testable import Varve

/// Choosing among many segments: what is looked at, and that nothing worth having is overlooked.
@Suite struct VictimShortlistTests {
  /// Segment n of `count` is n / count full.
  private func candidates(_ count: Int) -> [VictimCandidate] {
    (0..<count).map {
      VictimCandidate(
        segment: SegmentIndex(UInt32($0)), utilization: Double($0) / Double(count), age: 1)
    }
  }

  /// Counts how often everything was looked at.
  private struct Look {
    var shortlist = VictimShortlist()
    var all: [VictimCandidate]
    var gone: Set<SegmentIndex> = []
    var count = 0

    mutating func choose(turnover: Int, yield: Double = 0.1) -> SegmentIndex? {
      var looked = false
      let (gone, all) = (self.gone, self.all)
      let remaining = all.filter { !gone.contains($0.segment) }
      let everything = remaining.lazy.filter { _ in
        looked = true
        return true
      }
      let victim = shortlist.choose(
        minimumYield: yield, turnoverCount: turnover, everything: everything,
        again: { gone.contains($0) ? nil : all[Int($0.rawValue)] })
      if looked { count += 1 }
      return victim?.segment
    }
  }

  @Test func fewAreLookedAtEachTime() {
    var look = Look(all: candidates(VictimShortlist.capacity))
    for turnover in 0..<3 { #expect(look.choose(turnover: turnover)?.rawValue == 0) }
    #expect(look.count == 3)
  }

  @Test func manyAreLookedAtOnce() {
    var look = Look(all: candidates(8 * VictimShortlist.capacity))
    for number in 0..<100 {
      let victim = look.choose(turnover: number)
      #expect(victim?.rawValue == UInt32(number), "the emptiest that is left")
      victim.map { _ = look.gone.insert($0) }
    }
    #expect(look.count == 1)
  }

  @Test func aUsedShortlistIsMadeAnew() {
    var look = Look(all: candidates(8 * VictimShortlist.capacity))
    for number in 0..<VictimShortlist.capacity {
      #expect(look.choose(turnover: 0)?.rawValue == UInt32(number))
      look.gone.insert(SegmentIndex(UInt32(number)))
    }
    #expect(look.count > 1 && look.count < 8)
    let before = look.count
    _ = look.choose(turnover: 8 * VictimShortlist.capacity)
    #expect(look.count == before + 1, "much has come and gone since")
  }

  /// What the shortlist knows is too full, and something else is not.
  @Test func nothingIsOverlooked() {
    var look = Look(all: candidates(4 * VictimShortlist.capacity))
    #expect(look.choose(turnover: 0)?.rawValue == 0)
    let last = look.all.count - 1
    for index in 0..<last { look.all[index].utilization = 1 }
    look.all[last].utilization = 0.5
    #expect(look.choose(turnover: 1)?.rawValue == UInt32(last))
    look.all[last].utilization = 1
    #expect(look.choose(turnover: 2) == nil)
  }

  @Test func theOlderOfTwoAsFullIsWorthMore() {
    let young = VictimCandidate(segment: SegmentIndex(1), utilization: 0.5, age: 10)
    let old = VictimCandidate(segment: SegmentIndex(2), utilization: 0.5, age: 1000)
    let older = VictimCandidate(segment: SegmentIndex(3), utilization: 0.9, age: 1_000_000)
    #expect(VictimPolicy.choose(among: [young, old], minimumYield: 0.2) == old)
    #expect(VictimPolicy.choose(among: [young, old, older], minimumYield: 0.2) == old)
    #expect(VictimPolicy.choose(among: [young, old, older], minimumYield: 0.05) == older)
    #expect(VictimPolicy.choose(among: [young, old], minimumYield: 0.6) == nil)
  }
}
