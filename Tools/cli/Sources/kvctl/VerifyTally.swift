import ArgumentParser
import Console

/// Counts how the files of a tree compare with a store. Used by one task.
final class VerifyTally {
  private let shared: SharedOptions
  private let totalByteCount: UInt64
  private let meter: ProgressMeter
  private var counts: [VerifyCommand.Verdict: Int] = [:]
  private var byteCount: UInt64 = 0
  private var linkCount = 0
  private var specialCount = 0

  init(shared: SharedOptions, totalByteCount: UInt64) {
    self.shared = shared
    self.totalByteCount = totalByteCount
    meter = ProgressMeter("verifying", isShown: shared.showsProgress)
  }

  private func count(_ verdict: VerifyCommand.Verdict) -> Int { counts[verdict] ?? 0 }

  /// The next regular file, as a job; what is none is counted. Nil at the end.
  ///
  /// - Throws: where a line cannot be written.
  func nextFile(of entries: inout DirectoryTree.Iterator) throws -> Pipeline.Job<Int>? {
    while let entry = entries.next() {
      switch entry.kind {
      case .link: linkCount += 1
      case .special: specialCount += 1
      case .unreadable:
        try take(VerifyCommand.Outcome(path: entry.relativePath, verdict: .unreadable))
      case .file(let byteCount):
        // The file and the stored value are in memory at once.
        return Pipeline.Job(work: byteCount, byteCount: 2 * byteCount, key: entry.relativePath)
      }
    }
    return nil
  }

  /// Counts a file, and names it unless it is the same.
  ///
  /// - Throws: where a line cannot be written.
  func take(_ outcome: VerifyCommand.Outcome) throws {
    counts[outcome.verdict, default: 0] += 1
    byteCount += UInt64(outcome.byteCount)
    meter.update(
      byteCountDone: byteCount, byteCount: totalByteCount, itemCount: count(.same),
      items: "files the same")
    guard outcome.verdict != .same else { return }
    if shared.json {
      try ByteOutput.standard.writeLine([
        "ok": true, "event": "problem", "problem": .string(outcome.verdict.rawValue),
        "path": .string(PathBytes.text(outcome.path)),
        "pathB64": .string(Base64.encode(outcome.path)),
      ])
    } else {
      meter.finish()
      let name = PathBytes.text(outcome.path)
      try ByteOutput.standard.writeLine("\(outcome.verdict.rawValue): \(name)")
    }
  }

  /// Prints the result.
  ///
  /// - Throws: the exit code that says what was found.
  func finish() throws {
    meter.finish()
    let differences = count(.different) + count(.missing) + count(.damaged)
    if shared.json {
      try ByteOutput.standard.writeLine([
        "ok": .bool(differences == 0), "event": "done", "same": .count(count(.same)),
        "bytes": .count(byteCount), "differences": .count(differences),
        "different": .count(count(.different)), "missing": .count(count(.missing)),
        "damaged": .count(count(.damaged)), "overLimit": .count(count(.overLimit)),
        "unreadable": .count(count(.unreadable)), "links": .count(linkCount),
        "special": .count(specialCount),
      ])
    } else {
      let apart = [
        (count(.overLimit), "over the limit"), (count(.unreadable), "unreadable"),
        (linkCount, "links"), (specialCount, "special files"),
      ].filter { $0.0 > 0 }.map { ", \($0.0) \($0.1)" }.joined()
      try ByteOutput.standard.writeLine(
        "\(count(.same)) files the same (\(ByteSize(byteCount))), \(count(.different)) different, "
          + "\(count(.missing)) missing, \(count(.damaged)) damaged\(apart)")
    }
    if count(.damaged) > 0 { throw ExitCode(ExitStatus.damaged.rawValue) }
    if differences > 0 { throw ExitCode(ExitStatus.failure.rawValue) }
  }
}
