import Console
import Varve

/// Counts what a load stores and leaves out, and reports it as it goes. Used by one task.
final class LoadTally {
  /// What a job stores.
  enum Work: Sendable {
    /// The file at this path.
    case file(path: [UInt8])
    /// A value from this line of the input.
    case record([UInt8], expiry: Expiry, line: Int)
  }

  /// Why something was not stored.
  enum Reason: Hashable, Sendable {
    case overLimit
    case unreadable(String)
    case badLine(String)
  }

  /// How a job ended.
  enum Outcome: Sendable {
    case stored(byteCount: Int)
    case unstored(name: String, reason: Reason)
  }

  /// The pause between two lines of progress, unless a hundredth of the bytes passed before.
  private static let pause = Duration.milliseconds(200)

  private let shared: SharedOptions
  private let totalByteCount: UInt64?
  private let skipsErrors: Bool
  private let maximumValueByteCount: Int
  private let meter: ProgressMeter
  private let start = ContinuousClock.now
  private var lastReport = ContinuousClock.now
  private var lastReportedByteCount: UInt64 = 0
  private var recordCount = 0
  private var byteCount: UInt64 = 0
  private var linkCount = 0
  private var specialCount = 0
  private var overLimitCount = 0
  private var unreadableCount = 0
  private var badLineCount = 0

  init(
    shared: SharedOptions, totalByteCount: UInt64?, skipsErrors: Bool, maximumValueByteCount: Int
  ) {
    self.shared = shared
    self.totalByteCount = totalByteCount
    self.skipsErrors = skipsErrors
    self.maximumValueByteCount = maximumValueByteCount
    meter = ProgressMeter("loading", isShown: shared.showsProgress)
  }

  /// The job that stores a file; nil for what is not taken.
  ///
  /// - Throws: where it cannot be stored, unless errors are to be skipped.
  func job(
    for entry: DirectoryTree.Entry, in tree: DirectoryTree
  ) throws -> Pipeline.Job<Work>? {
    let path = entry.relativePath
    switch entry.kind {
    case .link: linkCount += 1
    case .special: specialCount += 1
    case .unreadable(let number):
      try reject(name: PathBytes.text(path), reason: .unreadable(ToolError.reason(number)))
    case .file(let byteCount):
      guard byteCount <= maximumValueByteCount, path.count <= Self.maximumKeyByteCount else {
        try reject(name: PathBytes.text(path), reason: .overLimit)
        return nil
      }
      return Pipeline.Job(work: .file(path: tree.path(of: path)), byteCount: byteCount, key: path)
    }
    return nil
  }

  static let maximumKeyByteCount = 4096

  static func reason(_ failure: FileContents.Failure) -> Reason {
    switch failure {
    case .tooLong: .overLimit
    case .notRegular: .unreadable("it is no regular file any more")
    case .system(let number): .unreadable(ToolError.reason(number))
    }
  }

  /// Counts the end of a job.
  ///
  /// - Throws: where it failed, unless errors are to be skipped.
  func take(_ outcome: Outcome) throws {
    switch outcome {
    case .unstored(let name, let reason): try reject(name: name, reason: reason)
    case .stored(let count):
      recordCount += 1
      byteCount += UInt64(count)
      try showProgress()
    }
  }

  /// Names what cannot be stored.
  ///
  /// - Throws: unless errors are to be skipped.
  func reject(name: String, reason: Reason) throws {
    let message: String
    let code: String
    switch reason {
    case .overLimit:
      overLimitCount += 1
      code = "tooLarge"
      message =
        "\(name): over the limit of \(ByteSize(UInt64(maximumValueByteCount))) a value and "
        + "\(Self.maximumKeyByteCount) bytes a key"
    case .unreadable(let cause):
      unreadableCount += 1
      (code, message) = ("io", "\(name): \(cause)")
    case .badLine(let cause):
      badLineCount += 1
      (code, message) = ("usage", "\(name): \(cause)")
    }
    guard skipsErrors else {
      throw ToolError(
        .failure, code: code,
        message + " (--skip-errors names it and goes on)")
    }
    if shared.json {
      let event: JSONValue = [
        "ok": true, "event": "skipped", "name": .string(name), "code": .string(code),
        "message": .string(message),
      ]
      try? ByteOutput.messages.writeLine(event)
      try? ByteOutput.messages.flush()
    } else {
      meter.finish()
      shared.remark("skipped \(message)")
    }
  }

  private func showProgress() throws {
    meter.update(
      byteCountDone: byteCount, byteCount: totalByteCount, itemCount: recordCount,
      items: "records")
    guard shared.json else { return }
    let now = ContinuousClock.now
    let share = (totalByteCount ?? .max) / 100
    guard now - lastReport >= Self.pause || byteCount - lastReportedByteCount >= share else {
      return
    }
    lastReport = now
    lastReportedByteCount = byteCount
    var members: [JSONValue.Member] = [
      .init("ok", true), .init("event", "progress"), .init("records", .count(recordCount)),
      .init("bytes", .count(byteCount)), .init("bytesPerSecond", .count(rate(byteCount))),
    ]
    if let totalByteCount { members.append(.init("totalBytes", .count(totalByteCount))) }
    try ByteOutput.standard.writeLine(JSONValue.object(members))
    try ByteOutput.standard.flush()
  }

  private var seconds: Double { max((ContinuousClock.now - start) / .seconds(1), 0.000_001) }

  private func rate(_ count: UInt64) -> UInt64 { UInt64(Double(count) / seconds) }

  /// The error that ended the load, with the count of what was stored before.
  func interrupted(_ error: any Error) -> any Error {
    meter.finish()
    guard let error = (error as? StoreError).map({ ToolError($0) }) ?? error as? ToolError else {
      return error
    }
    return error.adding(
      "; \(recordCount) records (\(ByteSize(byteCount))) were stored before",
      [
        .init("records", .count(recordCount)), .init("bytes", .count(byteCount)),
        .init("skipped", skipped),
      ])
  }

  /// What was not stored, by reason.
  private var skipped: JSONValue {
    [
      "links": .count(linkCount), "special": .count(specialCount),
      "overLimit": .count(overLimitCount), "unreadable": .count(unreadableCount),
      "badLines": .count(badLineCount),
    ]
  }

  /// Prints the result.
  ///
  /// - Throws: where it cannot be written.
  func finish(_ statistics: StoreStatistics) throws {
    meter.finish()
    if shared.json {
      try ByteOutput.standard.writeLine([
        "ok": true, "event": "done", "records": .count(recordCount), "bytes": .count(byteCount),
        "seconds": .number(seconds), "recordsPerSecond": .count(rate(UInt64(recordCount))),
        "bytesPerSecond": .count(rate(byteCount)), "skipped": skipped,
        "writeAmplification": .number(Description.rounded(statistics.writeAmplification)),
        "indexBytesPerKey": .number(Description.rounded(statistics.indexBytesPerKey)),
      ])
      return
    }
    let counts = [
      (linkCount, "links"), (specialCount, "special files"), (overLimitCount, "over the limit"),
      (unreadableCount, "unreadable"), (badLineCount, "bad lines"),
    ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    let left = counts.isEmpty ? "" : "; not stored: " + counts.joined(separator: ", ")
    if !shared.isQuiet {
      try ByteOutput.standard.writeLine(
        "loaded \(recordCount) records, \(ByteSize(byteCount)) in "
          + "\(Description.rounded(seconds)) s (\(ByteSize(rate(byteCount)))/s, "
          + "\(rate(UInt64(recordCount))) records/s)\(left)")
    }
  }
}
