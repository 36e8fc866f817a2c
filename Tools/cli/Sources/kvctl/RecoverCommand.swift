import ArgumentParser
import Console
import Varve

struct RecoverCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recover",
    abstract: "Recovers a store that was not closed, and closes it.",
    usage: "kvctl recover STORE [--plan | --accept-clock] [--json]",
    discussion: """
      EXAMPLES:
        kvctl recover store.varve --plan
        kvctl recover store.varve --json
        kvctl recover store.varve --accept-clock

      --plan says what recovery would read, hold in memory and take, and changes
      nothing; it works on a store in use too (then marked live: it may be stale).

      A store with records that expire does not believe a wall clock that is more
      than four weeks ahead of its own: nothing expires by it. --accept-clock
      confirms the wall clock, for good; what has expired by then is gone.

      Exit code 0: the store had been closed. 10: it had not been closed and was
      recovered; at most an unacknowledged tail was dropped, and the counts say how
      much (often nothing). 20: damage was found.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Flag(help: "Only say what recovery would do.")
  var plan = false
  @Flag(help: "Believe the wall clock, however far it is ahead of the store's own.")
  var acceptClock = false
  @OptionGroup var shared: SharedOptions

  mutating func validate() throws {
    guard !(plan && acceptClock) else {
      throw ValidationError("--plan and --accept-clock exclude each other")
    }
  }

  func run() async throws {
    let path = try StorePath.split(arguments).store
    if plan { return try await showPlan(path) }
    let report: RecoveryReport
    let keyCount: Int
    (report, keyCount) = try await shared.withStore(
      path, readOnly: false, reportsOpen: false, clockJump: acceptClock ? .accept : .hold
    ) { store in
      (store.recoveryReport, store.statistics.keyCount)
    }
    try show(report, keyCount: keyCount)
    switch report.outcome {
    case .clean: break
    case .recovered: throw ExitCode(ExitStatus.recovered.rawValue)
    case .degraded: throw ExitCode(ExitStatus.damaged.rawValue)
    }
  }

  private func show(_ report: RecoveryReport, keyCount: Int) throws {
    if shared.json {
      try ByteOutput.standard.writeLine([
        "ok": true, "outcome": .string(report.outcome.rawValue),
        "droppedRecords": .count(report.droppedRecordCount),
        "droppedBytes": .count(report.droppedByteCount),
        "readBytes": .count(report.readByteCount), "seconds": .number(report.durationSeconds),
        "liveRecords": .count(keyCount), "usedCheckpoint": .bool(report.usedCheckpoint),
        "checkpointEntries": .count(report.checkpointEntryCount),
        "summaryRecords": .count(report.summaryRecordCount),
        "frameRecords": .count(report.frameRecordCount),
        "clockMilliseconds": .count(report.clockMilliseconds),
        "clockHeldSeconds": report.heldClockJumpSeconds.map { .number($0) } ?? .null,
        "findings": .array(report.findings.map { .string($0) }),
      ])
      return
    }
    let lines = [
      ("outcome", report.outcome.rawValue), ("keys", "\(keyCount)"),
      (
        "dropped",
        "\(report.droppedRecordCount) unacknowledged records, \(report.droppedByteCount) bytes"
      ),
      (
        "read",
        "\(ByteSize(report.readByteCount)) in \(Description.rounded(report.durationSeconds)) s: "
          + "\(report.checkpointEntryCount) records from a checkpoint, "
          + "\(report.summaryRecordCount) from summaries, \(report.frameRecordCount) from frames"
      ),
      ("clock", Description.clock(report)),
    ]
    try ByteOutput.standard.writeLine(
      Description.table(lines + report.findings.map { ("DAMAGE", $0) }))
  }

  private func showPlan(_ path: String) async throws {
    let plan: RecoveryPlan
    do {
      plan = try await Store.recoveryPlan(path: path, options: shared.storeOptions(readOnly: true))
    } catch {
      throw ToolError(error, subject: path)
    }
    if shared.json {
      try ByteOutput.standard.writeLine([
        "ok": true, "clean": .bool(plan.wasClean), "readBytes": .count(plan.byteCountToRead),
        "memoryBytes": .count(plan.memoryByteCount),
        "estimatedSeconds": .number(plan.estimatedSeconds),
        "frameSegments": .count(plan.frameSegmentCount),
        "summarySegments": .count(plan.summarySegmentCount),
        "usesCheckpoint": .bool(plan.usesCheckpoint), "live": .bool(plan.isLive),
        "holderPid": plan.holderProcessID.map { .count($0) } ?? .null,
      ])
      return
    }
    let holder = plan.holderProcessID.map { " by process \($0)" } ?? ""
    let state = [("state", "live, may be stale: in use\(holder)")]
    try ByteOutput.standard.writeLine(
      Description.table(
        (plan.isLive ? state : []) + [
          ("last shutdown", plan.wasClean ? "clean" : "not clean"),
          ("reads", "at most \(ByteSize(plan.byteCountToRead))"),
          ("holds", "\(ByteSize(plan.memoryByteCount)) of memory"),
          ("takes", "about \(Description.rounded(plan.estimatedSeconds)) s"),
          ("checkpoint", plan.usesCheckpoint ? "used" : "none"),
          ("summaries", "of \(plan.summarySegmentCount) segments"),
          ("frames", "of \(plan.frameSegmentCount) segments"),
        ]))
  }
}
