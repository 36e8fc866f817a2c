import Console
import Foundation
import KeyLoad

/// The rounds side by side: medians of each store, and ratios of Varve to each peer.
struct OverwriteTable: Encodable {
  /// How the values of several rounds lie.
  struct Range: Encodable, Hashable {
    let median: Double
    let minimum: Double
    let maximum: Double

    /// Nil without a value.
    init?(_ values: [Double]) {
      guard !values.isEmpty else { return nil }
      let spread = Spread(values)
      (median, minimum, maximum) = (spread.median, spread.minimum, spread.maximum)
    }
  }

  /// Whether no run failed.
  private(set) var ok = true
  /// What was measured, with all lines of all runs.
  let rounds: [OverwriteRound]
  /// By store and figure, of the rounds in which the store did not fail.
  private(set) var figures: [String: [String: Range]] = [:]
  /// Varve to the peer, by peer and figure: ratios of the same round.
  private(set) var ratios: [String: [String: Range]] = [:]
  /// Bytes that Varve had written, as a share of what fio wrote in sequence just before.
  private(set) var shareOfRawWrite: Range?
  /// Which store failed in which round, where and why.
  private(set) var failures: [String] = []

  static let own = "varve"
  private let stores: [String]

  private enum CodingKeys: String, CodingKey {
    case ok, rounds, figures, ratios, shareOfRawWrite, failures
  }

  init(_ rounds: [OverwriteRound], stores: [String]) {
    self.rounds = rounds
    self.stores = stores
    for store in stores {
      for figure in OverwriteFigure.allCases {
        figures[store, default: [:]][figure.rawValue] = Range(
          values(figure, store).compactMap(\.self))
        guard store != Self.own else { continue }
        let pairs = zip(values(figure, Self.own), values(figure, store))
        ratios[store, default: [:]][figure.rawValue] = Range(
          pairs.compactMap { own, peer in
            guard let own, let peer, peer > 0 else { return nil }
            return own / peer
          })
      }
    }
    shareOfRawWrite = Range(rounds.compactMap(Self.shareOfRawWrite))
    for (number, round) in rounds.enumerated() {
      failures += round.runs.compactMap { run in
        run.report.failureText.map { "\(run.store), round \(number + 1): \($0)" }
      }
    }
    ok = failures.isEmpty
  }

  /// One value a round, nil where the store failed.
  private func values(_ figure: OverwriteFigure, _ store: String) -> [Double?] {
    rounds.map { round in
      round.runs.first { $0.store == store }.flatMap { figure.value(of: $0.report, $0.plan) }
    }
  }

  private static func shareOfRawWrite(_ round: OverwriteRound) -> Double? {
    guard let raw = round.rawBytesPerSecond,
      let report = round.runs.first(where: { $0.store == own })?.report, report.failure == nil,
      let phase = report.phase(.measured)
    else { return nil }
    return Double(phase.writtenByteCount) / phase.seconds / raw
  }

  // MARK: For people

  /// A line for each figure that anybody has, then causes, goals and failures.
  var text: String {
    let peers = stores.filter { $0 != Self.own }
    var lines = [[""] + stores + peers.flatMap { ["varve / \($0)", "from", "to"] }]
    for figure in OverwriteFigure.allCases {
      let own = stores.map { figures[$0]?[figure.rawValue] }
      guard own.contains(where: { $0 != nil }) else { continue }
      let missed = isMissed(figure)
      let cells = zip(stores, own).map { store, range in
        range.map { ResultTable.number($0.median) + (missed && store == Self.own ? "!" : "") }
          ?? "-"
      }
      lines.append(
        [figure.title] + cells
          + peers.flatMap { peer in
            let ratio = ratios[peer]?[figure.rawValue]
            return [ratio?.median, ratio?.minimum, ratio?.maximum].map {
              $0.map(ResultTable.number) ?? "-"
            }
          })
    }
    return ([TextTable.text(lines, leftColumns: [0])] + notes).joined(separator: "\n")
  }

  private var notes: [String] {
    var notes = causes
    if let share = shareOfRawWrite {
      notes.append("varve wrote \(ResultTable.number(share.median)) of fio's 1 MiB writes")
    }
    if figures[Self.own]?[OverwriteFigure.medianSecond.rawValue] != nil {
      notes.append(
        "goals: median second 1.5 times the peer's, worst second half of the median, "
          + "write amplification 2.5, put p99 twice that of the load; ! where missed")
    }
    notes += failures.map { "FAILED: \($0)" }
    return notes.map { TextTable.wrapped($0, label: "") }
  }

  /// What Varve wrote for each byte of the user's, by cause, in the last round that did not fail.
  private var causes: [String] {
    let runs = rounds.flatMap(\.runs).filter { $0.store == Self.own && $0.report.failure == nil }
    guard let phase = runs.last?.report.phase(.measured), phase.putCount > 0 else { return [] }
    let userBytes = Double(LoadPlan.userByteCount(puts: phase.putCount))
    let parts = phase.writtenByteCounts.sorted { $0.key < $1.key }.map { cause, byteCount in
      "\(cause) \(ResultTable.number(Double(byteCount) / userBytes))"
    }
    return ["varve wrote, for each byte of the user's: " + parts.joined(separator: ", ")]
  }

  private func isMissed(_ figure: OverwriteFigure) -> Bool {
    guard let goal = figure.goal, let own = figures[Self.own]?[figure.rawValue]?.median else {
      return false
    }
    switch goal {
    case .atLeast(let bound): return own < bound
    case .atMost(let bound): return own > bound
    case .ratioAtLeast(let bound):
      return ratios.values.contains { ($0[figure.rawValue]?.median ?? bound) < bound }
    case .timesLoad(let factor):
      let quiet = figures[Self.own]?[OverwriteFigure.putP99OfLoadMicroseconds.rawValue]?.median
      return quiet.map { own > factor * $0 } ?? false
    }
  }

  /// The rates of a run's seconds in thousands, for a person to see how steady it was.
  static func series(_ run: OverwriteRound.Run) -> String {
    let rates = run.report.rates(.measured).map { ResultTable.number($0 / 1000) }
    return TextTable.wrapped(rates.joined(separator: " "), label: "  K/s by second: ")
  }
}
