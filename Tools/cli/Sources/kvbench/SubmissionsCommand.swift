import ArgumentParser
import Console
import DeviceLoad
import Glibc
import Measuring
import VarveIO

/// The times of submissions to a file as the store leaves it, and to files as it does not.
struct SubmissionsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submissions",
    abstract: "How long io_submit keeps its caller, by what the file is like.",
    discussion: """
      EXAMPLES:
        kvbench submissions
        kvbench submissions --at /mnt/data --size 4GiB

      Random 4 KiB reads and writes to a file whose blocks have been written, as
      the store makes its files; the same after the caches of the kernel were
      dropped, as root; then files that the store does not make: with allocated
      blocks only, and one that every write extends.
      """)

  @Option(help: "A folder on the file system to measure.") var at = "/var/tmp"
  @Option(
    parsing: .unconditional, help: "The length of the files: from 1MiB to 64GiB.",
    transform: ByteSize.argument)
  var size = ByteSize(512 << 20)
  @Flag(
    inversion: .prefixedNo, help: "Drop the caches of the kernel in between, which needs root.")
  var dropCaches = true
  @Flag(help: "Print one JSON object.") var json = false

  func validate() throws {
    guard (1 << 20...64 << 30).contains(size.byteCount) else {
      throw ValidationError("--size lies between 1MiB and 64GiB")
    }
  }

  func run() async throws {
    let path = at + "/kvbench-\(getpid()).submissions"
    defer { unlink(path) }
    let pageCount = Int(size.byteCount / 4096)
    var rows: [(name: String, latencies: Latencies)] = []
    let made = try DirectFile.create(
      path, options: CreateOptions(byteCount: UInt64(pageCount) * 4096))
    try made.close()
    for isDropped in [false, true] {
      for isWrite in [false, true] {
        if isDropped, !dropCaches || !letGoOfCaches() { continue }
        let name =
          "\(isWrite ? "writes" : "reads"), written blocks"
          + (isDropped ? ", caches dropped" : "")
        rows.append((name, try measure(path, isWrite, pageCount)))
      }
    }
    try remake(path) { ftruncate($0, 0) == 0 && posix_fallocate($0, 0, pageCount * 4096) == 0 }
    rows.append(("writes, allocated blocks", try measure(path, true, pageCount)))
    try remake(path) { ftruncate($0, 4096) == 0 }
    var trial = try SubmissionTrial(path: path)
    let extendingCount = min(pageCount, 4096)
    rows.append(
      ("writes that extend", try trial.run(isWrite: true, pageCount: extendingCount, .sequential)))
    try show(rows)
  }

  private func measure(_ path: String, _ isWrite: Bool, _ pageCount: Int) throws -> Latencies {
    var trial = try SubmissionTrial(path: path)
    return try trial.run(
      isWrite: isWrite, pageCount: pageCount, .random(seed: Random.seed()))
  }

  private func remake(_ path: String, _ body: (Int32) -> Bool) throws {
    let descriptor = open(path, O_RDWR)
    defer { close(descriptor) }
    guard descriptor >= 0, body(descriptor), fsync(descriptor) == 0 else {
      throw BenchError("\(path) cannot be made anew: errno \(errno)")
    }
  }

  /// Lets go of what the kernel keeps in memory, metadata of file systems included.
  private func letGoOfCaches() -> Bool {
    sync()
    let descriptor = open("/proc/sys/vm/drop_caches", O_WRONLY)
    defer { if descriptor >= 0 { close(descriptor) } }
    return descriptor >= 0 && Glibc.write(descriptor, "3", 1) == 1
  }

  private func show(_ rows: [(name: String, latencies: Latencies)]) throws {
    let percents = [50, 99, 99.9]
    if json {
      try ByteOutput.standard.writeLine([
        "ok": true,
        "measurements": .array(
          rows.map { row in
            [
              "name": .string(row.name), "submissions": .count(row.latencies.count),
              "p50Nanoseconds": .count(row.latencies.nanoseconds(atPercent: 50)),
              "p99Nanoseconds": .count(row.latencies.nanoseconds(atPercent: 99)),
              "p999Nanoseconds": .count(row.latencies.nanoseconds(atPercent: 99.9)),
              "maximumNanoseconds": .count(row.latencies.maximumNanoseconds),
            ]
          }),
      ])
      return try ByteOutput.standard.flush()
    }
    var lines = [["io_submit, microseconds", "calls", "p50", "p99", "p99.9", "max"]]
    for row in rows {
      let times = percents.map { row.latencies.nanoseconds(atPercent: $0) }
      lines.append(
        [row.name, "\(row.latencies.count)"]
          + (times + [row.latencies.maximumNanoseconds]).map {
            ResultTable.number(Double($0) / 1000)
          })
    }
    print(TextTable.text(lines, leftColumns: [0]))
  }
}
