import ArgumentParser
import Console
import Varve

struct CompactCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compact",
    abstract: "Moves what is live together, until nothing is worth moving.",
    usage: "kvctl compact STORE [--json]",
    discussion: """
      EXAMPLES:
        kvctl compact store.varve
        kvctl compact store.varve --json

      Empties every segment that would give back an eighth of itself, and lets the
      tombstones of deleted keys die where nothing older is left. A store compacts by
      itself as its space gets short: this is for a quiet hour, or before a backup.
      Interrupted, it loses nothing; the next open recovers.

      A segment that holds nothing counts as free. Live bytes are those of the pages
      that the records which count need.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let path = try StorePath.split(arguments).store
    let report = try await shared.withStore(path, readOnly: false) { store in
      let before = CompactionReport.State(store)
      let start = ContinuousClock.now
      try await compact(store)
      return CompactionReport(
        before: before, after: CompactionReport.State(store),
        durationSeconds: (ContinuousClock.now - start) / .seconds(1))
    }
    if shared.json {
      try ByteOutput.standard.writeLine(report.json)
    } else {
      try ByteOutput.standard.writeLine(report.text)
    }
  }

  /// Compacts, and shows how far it has come.
  private func compact(_ store: Store) async throws {
    let meter = ProgressMeter("moving", isShown: shared.showsProgress)
    let watch = Task {
      while !Task.isCancelled {
        let statistics = store.statistics
        meter.update(
          byteCountDone: statistics.relocationByteCount,
          itemCount: Int(clamping: statistics.compactedSegmentCount), items: "segments emptied")
        try await Task.sleep(for: .milliseconds(200))
      }
    }
    let result: Result<Void, StoreError>
    do throws(StoreError) {
      try await store.compact()
      result = .success(())
    } catch {
      result = .failure(error)
    }
    watch.cancel()
    _ = await watch.result
    meter.finish()
    try result.get()
  }
}
