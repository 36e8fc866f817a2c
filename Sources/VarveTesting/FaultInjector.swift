import VarveIO

/// A plan at work: counts the requests and decides on each.
package struct FaultInjector: Sendable {
  private let plan: FaultPlan
  private var random: SeededGenerator
  private var counts: [Int] = [0, 0, 0]
  /// How often each rule that wears off has applied.
  private var applications: [Int]

  package init(plan: FaultPlan) {
    self.plan = plan
    random = SeededGenerator(seed: plan.seed)
    applications = [Int](repeating: 0, count: plan.rules.count)
  }

  /// The effect on a request, or nil if it goes well. Counts it.
  package mutating func decide(_ request: IORequest) -> FaultPlan.Effect? {
    let operation = request.operation == .writeDurably ? .write : request.operation
    let kind =
      switch operation {
      case .read: 0
      case .write, .writeDurably: 1
      case .flush: 2
      }
    let occurrence = counts[kind]
    counts[kind] += 1
    let touched = request.byteOffset..<request.byteOffset + UInt64(request.byteCount)
    for (index, rule) in plan.rules.enumerated() where rule.operation == operation {
      let applies =
        switch rule.moment {
        case .once(let wanted): occurrence == wanted
        case .from(let first): occurrence >= first
        case .touching(let range): range.overlaps(touched)
        case .touchingTimes(let range, let times):
          range.overlaps(touched) && applications[index] < times
        }
      guard applies else { continue }
      applications[index] += 1
      return rule.effect
    }
    return nil
  }

  /// What of a failed or torn write lands: the wanted sectors as ranges of its bytes. Neither all
  /// nor none when the write is torn and has more than one sector.
  package mutating func landingRanges(byteCount: Int, isTorn: Bool) -> [Range<Int>] {
    let sectorCount = byteCount / 512
    var lands = (0..<sectorCount).map { _ in random.once(in: 2) }
    if isTorn {
      let certain = random.below(sectorCount)
      lands[certain] = false
      if sectorCount > 1 { lands[(certain + 1) % sectorCount] = true }
    }
    return sectorRuns(lands)
  }

  /// A place in a range and a bit of that byte, to flip.
  package mutating func bit(in range: Range<UInt64>) -> (byteOffset: UInt64, mask: UInt8) {
    let place = range.lowerBound + UInt64(random.below(range.count))
    return (place, UInt8(1) << UInt8(random.below(8)))
  }
}

/// The byte ranges of the runs of wanted 512-byte sectors.
package func sectorRuns(_ wanted: [Bool]) -> [Range<Int>] {
  var runs: [Range<Int>] = []
  for (index, isWanted) in wanted.enumerated() where isWanted {
    if let last = runs.last, last.upperBound == index * 512 {
      runs[runs.count - 1] = last.lowerBound..<(index + 1) * 512
    } else {
      runs.append(index * 512..<(index + 1) * 512)
    }
  }
  return runs
}
