import Console
import Foundation
import KeyLoad

/// The rounds of `kvbench overwrite`: every store in turn, in a folder of its own.
struct OverwriteBench {
  let folder: String
  /// With every field but path and seed.
  let plan: LoadPlan
  /// In the order of the first round.
  let stores: [(name: String, process: LoadProcess)]
  /// Nil measures no device.
  let raw: RawProbe?
  let say: (String) -> Void

  func run(rounds: Int) throws -> [OverwriteRound] {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    if let raw {
      say("writing \(raw.byteCount >> 20) MiB for fio")
      try raw.prepare()
    }
    return try (1...rounds).map { number in
      say("round \(number) of \(rounds)")
      return try round(number)
    }
  }

  /// Every second round goes backwards, so that nobody is always first.
  private func round(_ number: Int) throws -> OverwriteRound {
    let bandwidth = try raw?.sequentialWriteBytesPerSecond()
    let seed = UInt64.random(in: 0...(.max))
    say("seed \(seed)")
    let runs = try (number.isMultiple(of: 2) ? stores.reversed() : stores).map { store in
      var plan = plan
      plan.path = folder + "/" + store.name
      plan.seed = seed
      // What the store before it left in the page cache is written before this one starts.
      sync()
      let report = try store.process.run(plan)
      let run = OverwriteRound.Run(store: store.name, plan: plan, report: report)
      try? FileManager.default.removeItem(atPath: plan.path)
      tell(run, isFirst: number == 1)
      return run
    }
    return OverwriteRound(rawBytesPerSecond: bandwidth, seed: seed, runs: runs)
  }

  private func tell(_ run: OverwriteRound.Run, isFirst: Bool) {
    if isFirst, let opened = run.report.opened {
      say(TextTable.wrapped(opened.configuration, label: "\(opened.name): "))
    }
    let rate = OverwriteFigure.operationsPerSecond.value(of: run.report, run.plan)
    let result = rate.map { "\(ResultTable.number($0)) operations a second" } ?? "FAILED"
    let series = run.report.rates(.measured).isEmpty ? "" : "\n" + OverwriteTable.series(run)
    say("\(run.store): \(run.report.failureText.map { "FAILED, \($0)" } ?? result)\(series)")
  }
}
