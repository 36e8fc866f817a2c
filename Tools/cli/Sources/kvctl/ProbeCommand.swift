import ArgumentParser
import Console
import DeviceLoad
import VarveIO

struct ProbeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract: "Says what a device can do, and measures it.",
    usage: """
      kvctl probe PATH [--write] [--buffered] [--seconds SECONDS] [--size SIZE]
                       [--engine ENGINE] [--shards COUNT] [--wait SECONDS] [--json]
      """,
    discussion: """
      EXAMPLES:
        kvctl probe /var/lib/myservice     a temporary file there, read and written
        kvctl probe store.varve            only read, also while a service uses it
        kvctl probe /dev/nvme1n1           only read
        kvctl probe /dev/nvme1n1 --write   OVERWRITES the device
        kvctl probe /var/lib/myservice --json | jq '.warnings[].message'

      Tells of direct I/O, alignment (announced, and tried), write cache, FUA, atomic
      writes and room for Linux AIO; measures random 4 KiB reads with 1, 8, 32 and
      128 in flight and sequential 1 MiB reads, and where it may write also both
      kinds of writes, and writes that are flushed one by one, on every I/O engine
      that starts here, or on that of --engine alone. It takes about 20 seconds.

      In a directory it fills a temporary file, which has no name once it is open
      and so goes away however the probe ends. A file or device is only read, unless
      --write is given and its path is typed back, on the terminal or on a line of
      standard input. Only what holds data is measured; the report says what may
      have bent the numbers.
      """)

  @Argument(help: ArgumentHelp("A directory, a file or a block device.", valueName: "path"))
  var path: String
  @Flag(help: "Write over PATH, which destroys what it holds, once the path is typed back.")
  var write = false
  @Flag(help: "Go through the page cache where there is no direct I/O.")
  var buffered = false
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How long each measurement takes: from 0.01 to 600. Default: so that all take about 20.",
      valueName: "seconds"))
  var seconds: Double?
  @Option(
    parsing: .unconditional,
    help: "What is filled and measured where writing is allowed: from 4MiB to 1TiB.",
    transform: ByteSize.argument)
  var size = ByteSize(1 << 30)
  @OptionGroup var shared: SharedOptions

  /// What all measurements may take together by default.
  private static let defaultSeconds = 16.0
  /// What looking for data, or filling a file, may take.
  private static let preparationSeconds = 3.0

  func validate() throws {
    guard !path.isEmpty else { throw ValidationError("the path is empty") }
    if let seconds, !(0.01...600).contains(seconds) {
      throw ValidationError("--seconds must lie between 0.01 and 600, and is \(seconds)")
    }
    guard (ProbeTarget.leastByteCount...1 << 40).contains(size.byteCount) else {
      throw ValidationError("--size must lie between 4MiB and 1TiB, and is \(size)")
    }
  }

  func run() async throws {
    let distortions = ProbeMachine.distortions
    let target = try await open()
    var report = ProbeReport(target)
    report.distortions = distortions
    let started = try ProbeCampaign.engines(wantedEngines, on: target.file)
    guard !started.started.isEmpty else {
      throw ToolError(
        .resource, code: "resource", started.refused.map(\.message).joined(separator: "; "))
    }
    report.engines = started.started
    report.warnings = started.refused
    report.region = try prepare(target, &report)
    if report.isDirect {
      report.alignment = SectorTrial(
        of: target.file,
        at: report.region.pageCount > 0 ? report.region.byteOffset(ofPage: 0) : 0,
        mayWrite: target.mayWrite)
    }
    try await measure(target, &report)
    report.judge()
    if shared.json {
      try ByteOutput.standard.writeLine(report.json)
    } else {
      try ByteOutput.standard.writeLine(report.text)
    }
  }

  /// Every engine that there is, or the one that was asked for.
  private var wantedEngines: [DeviceEngine] {
    DeviceEngine.measurable.filter { engine in
      shared.engine.map { $0.rawValue == engine.toolName } ?? true
    }
  }

  private func open() async throws -> ProbeTarget {
    if ProbeTarget.isDirectory(path) {
      Interruption.watch()
      return try ProbeTarget.directory(
        path, byteCount: size.byteCount, allowBuffered: buffered)
    }
    guard write else {
      Interruption.watch()
      return try ProbeTarget.reading(path, allowBuffered: buffered)
    }
    return try await ProbeTarget.overwriting(
      path, byteCount: size.byteCount, allowBuffered: buffered, waitForLockSeconds: shared.wait,
      isPrompting: !shared.json)
  }

  /// Fills what may be written, or looks for data in what may not.
  private func prepare(
    _ target: borrowing ProbeTarget, _ report: inout ProbeReport
  ) throws -> DataRegion {
    guard target.mayWrite else { return survey(target, &report) }
    let meter = ProgressMeter("filling", isShown: shared.showsProgress)
    defer { meter.finish() }
    let filled: UInt64
    do throws(DeviceError) {
      filled = try DataFill.fill(
        target.file, byteCount: target.fillByteCount, seconds: Self.preparationSeconds
      ) {
        Interruption.signal != nil
      } progress: { done, total in
        meter.update(byteCountDone: done, byteCount: total)
      }
    } catch {
      throw ToolError(error)
    }
    if Interruption.signal != nil { throw ToolError.interrupted("the probe was not finished") }
    report.distortions.append(
      "what is read was written a moment ago: a disk or a host may still hold it in its cache")
    if filled < report.byteCount {
      report.distortions.append(
        "only the first \(ByteSize(filled)) of \(ByteSize(report.byteCount)) were measured: a disk"
          + " with heads moves them less than in use")
    }
    return DataRegion([DataRegion.Run(byteOffset: 0, byteCount: filled)])
  }

  private func survey(
    _ target: borrowing ProbeTarget, _ report: inout ProbeReport
  ) -> DataRegion {
    let survey = DataSurvey(of: target.file, seconds: Self.preparationSeconds / 2)
    if survey.holeByteCount > 0 || survey.zeroCount > 0 {
      report.warn(
        .emptyParts,
        "left out, because they would be answered without a disk: \(ByteSize(survey.holeByteCount))"
          + " of holes, and \(survey.zeroCount) of \(survey.sampledCount) sampled pieces that hold"
          + " zeros")
    }
    if survey.unreadableCount > 0 {
      report.warn(
        .unreadable,
        "\(survey.unreadableCount) of \(survey.sampledCount) sampled pieces cannot be read: check"
          + " the device and the kernel log")
    }
    if let holder = target.holder {
      report.distortions.append(
        "process \(holder.processID) has it in use: what it does slows this down, and is slowed"
          + " down by it")
    }
    return survey.region
  }

  private func measure(
    _ target: borrowing ProbeTarget, _ report: inout ProbeReport
  ) async throws {
    let meter = ProgressMeter("measuring", isShown: shared.showsProgress)
    defer { meter.finish() }
    let cells = ProbeMeasurement.cells(of: report.region, mayWrite: target.mayWrite)
    let count = Double(cells.count * report.engines.count)
    let campaign = ProbeCampaign(
      region: report.region, cells: cells, engines: report.engines,
      secondsPerCell: seconds ?? min(1, Self.defaultSeconds / count),
      contextCount: shared.shards ?? DeviceOptions.defaultContextCount, path: path,
      meter: meter)
    let (measurements, roundCount) = try await campaign.run(on: target.file)
    report.measurements = measurements
    if roundCount > 1 {
      report.distortions.append(
        "every page was used \(Description.rounded(roundCount)) times: caches had a second chance")
    }
  }
}
