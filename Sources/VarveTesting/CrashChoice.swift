/// Which sectors of each unsettled write survive a crash: one list of flags per write.
package struct CrashChoice: Hashable, Sendable {
  package var sectors: [[Bool]]

  /// For each write `-` for nothing, `+` for all of it, or its sectors as digits.
  package var summary: String {
    sectors.map { flags in
      if flags.allSatisfy({ $0 }) { return "+" }
      if !flags.contains(true) { return "-" }
      return "(" + flags.map { $0 ? "1" : "0" }.joined() + ")"
    }.joined()
  }
}

extension CrashEnumerator.Density {
  /// The choices for writes of those sector counts, in a fixed order. Some may occur twice.
  package func choices(
    sectorCounts: [Int], random: inout SeededGenerator
  ) -> [CrashChoice] {
    let totalCount = sectorCounts.reduce(0, +)
    if totalCount <= maximumExhaustiveCount {
      return Self.subsets(of: totalCount).map { flags in
        var rest = flags[...]
        return CrashChoice(
          sectors: sectorCounts.map { count in
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
          })
      }
    }
    return writeSubsets(sectorCounts.count, random: &random).map { flags in
      Self.whole(flags, sectorCounts)
    } + tears(sectorCounts, random: &random)
  }

  /// Subsets of whole writes.
  private func writeSubsets(_ count: Int, random: inout SeededGenerator) -> [[Bool]] {
    if count <= maximumExhaustiveCount { return Self.subsets(of: count) }
    let all = 0..<count
    var subsets: [[Bool]] = []
    for prefix in 0...count { subsets.append(all.map { $0 < prefix }) }
    for omitted in all { subsets.append(all.map { $0 != omitted }) }
    for single in all { subsets.append(all.map { $0 == single }) }
    for _ in 0..<randomSubsetCount { subsets.append(all.map { _ in random.once(in: 2) }) }
    return subsets
  }

  /// The last writes torn, with all others and with only the earlier ones; and, now and then,
  /// any sectors of anything.
  private func tears(_ sectorCounts: [Int], random: inout SeededGenerator) -> [CrashChoice] {
    var choices: [CrashChoice] = []
    for torn in sectorCounts.indices.suffix(tornWriteCount) {
      for pattern in patterns(sectorCount: sectorCounts[torn], random: &random) {
        for bound in Set([torn, sectorCounts.count]).sorted() {
          var choice = Self.whole(sectorCounts.indices.map { $0 < bound }, sectorCounts)
          choice.sectors[torn] = pattern
          choices.append(choice)
        }
      }
    }
    for _ in 0..<randomSubsetCount {
      choices.append(
        CrashChoice(
          sectors: sectorCounts.map { count in (0..<count).map { _ in random.once(in: 2) } }))
    }
    return choices
  }

  /// Ways to tear one write: prefixes (by sector up to a page and of the last page, by page
  /// between), the first or the last sector missing, only the last there, and some by chance.
  private func patterns(sectorCount: Int, random: inout SeededGenerator) -> [[Bool]] {
    let all = 0..<sectorCount
    guard sectorCount > 1 else { return [] }
    var patterns: [[Bool]] = []
    for prefix in all.dropFirst()
    where prefix < 8 || prefix > sectorCount - 8 || prefix % 8 == 0 {
      patterns.append(all.map { $0 < prefix })
    }
    patterns.append(all.map { $0 != 0 })
    patterns.append(all.map { $0 == sectorCount - 1 })
    let omitted = random.below(sectorCount)
    patterns.append(all.map { $0 != omitted })
    for _ in 0..<randomSubsetCount { patterns.append(all.map { _ in random.once(in: 2) }) }
    return patterns
  }

  private static func subsets(of count: Int) -> [[Bool]] {
    (0..<1 << count).map { bits in (0..<count).map { bits >> $0 & 1 == 1 } }
  }

  private static func whole(_ flags: [Bool], _ sectorCounts: [Int]) -> CrashChoice {
    CrashChoice(sectors: zip(flags, sectorCounts).map { Array(repeating: $0, count: $1) })
  }
}
