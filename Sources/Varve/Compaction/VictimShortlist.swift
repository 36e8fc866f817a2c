import VarveFormat

/// The best victims of a large store, so that not every choice looks at every segment: with 16,384
/// of them a look takes half a millisecond, and a busy store chooses some hundred times a second.
struct VictimShortlist {
  private var best: [VictimCandidate] = []
  /// How many there were to choose from, and the turnover of segments then.
  private var candidateCount = 0
  private var turnoverAtLook: Int?

  /// So many are remembered, and stores with no more candidates are looked at each time.
  static let capacity = 512

  /// The candidate that is worth most, among those that give back at least `minimumYield`.
  ///
  /// `everything` are all candidates; `again` tells what is known of one now. A look at all of them
  /// is due once half of the shortlist has been used, or an eighth of all candidates has come or
  /// gone; and where the shortlist has none that will do, so that nothing that could be won is
  /// overlooked.
  mutating func choose(
    minimumYield: Double, turnoverCount: Int, everything: some Sequence<VictimCandidate>,
    again: (SegmentIndex) -> VictimCandidate?
  ) -> VictimCandidate? {
    if let turnoverAtLook, candidateCount > VictimShortlist.capacity,
      turnoverCount - turnoverAtLook < candidateCount / 8
    {
      let remaining = best.compactMap { again($0.segment) }
      if remaining.count * 2 > VictimShortlist.capacity,
        let victim = VictimPolicy.choose(among: remaining, minimumYield: minimumYield)
      {
        return victim
      }
    }
    return look(minimumYield, turnoverCount, everything)
  }

  private mutating func look(
    _ minimumYield: Double, _ turnoverCount: Int, _ everything: some Sequence<VictimCandidate>
  ) -> VictimCandidate? {
    let all = Array(everything)
    candidateCount = all.count
    turnoverAtLook = turnoverCount
    guard all.count > VictimShortlist.capacity else {
      best = []
      return VictimPolicy.choose(among: all, minimumYield: minimumYield)
    }
    best = Array(
      all.sorted { VictimPolicy.benefit(of: $0) > VictimPolicy.benefit(of: $1) }
        .prefix(VictimShortlist.capacity))
    return VictimPolicy.choose(among: all, minimumYield: minimumYield)
  }
}
