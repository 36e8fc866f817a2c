import ArgumentParser
import Console
import DeviceLoad
import Glibc
import VarveIO

/// The I/O layer beside fio: the same file, the same depth, in the same round.
struct IOCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "io",
    abstract: "Random and sequential I/O by tasks, as ratios to fio in the same run.",
    discussion: """
      EXAMPLES:
        kvbench io
        kvbench io --depths 1,64 --engine aio --rounds 5
        kvbench io --path /dev/zram0 --write --json

      Without --path a file of --size is filled under /var/tmp; a file that is made is
      removed at the end.
      A file or device that is there is only read, from its start on, unless --write
      says that it may be OVERWRITTEN; it is then filled first. Without fio the peer
      is the first engine in a plain loop, without tasks.

      `default` are tasks of Swift's own executor, `device` tasks of the device's. The
      ratio is the median of the rounds' ratios to the peer, `from` and `to` the least
      and the greatest; `!` marks what misses its goal.
      """)

  @Option(help: "A file or block device, or where to make a file.")
  var path: String?
  @Flag(help: "Write over what is at --path, which destroys it.")
  var write = false
  @Option(
    parsing: .unconditional,
    help: "What is measured, from the start of the file: from 8MiB to 1TiB.",
    transform: ByteSize.argument)
  var size = ByteSize(1 << 30)
  @Option(help: "Seconds of every measurement: from 0.05 to 60.")
  var seconds = 2.0
  @Option(help: "Rounds, from 1 to 100; medians are printed.")
  var rounds = 3
  @Option(
    help: "Random reads in flight, from 1 to 1024 each.",
    transform: { text in
      let depths = text.split(separator: ",").map { Int($0) ?? 0 }
      guard !depths.isEmpty, depths.allSatisfy((1...1024).contains) else {
        throw ValidationError("depths are numbers from 1 to 1024, such as 1,16,64")
      }
      return depths
    })
  var depths = [1, 16, 64, 128]
  @Option(help: "An engine, once for each; default: every one that starts.")
  var engine: [String] = []
  @Option(help: "Another program with fio's options.")
  var fio = "fio"
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (8 << 20...1 << 40).contains(size.byteCount), (0.05...60).contains(seconds),
      (1...100).contains(rounds)
    else {
      throw ValidationError("--size from 8MiB to 1TiB, --seconds from 0.05 to 60, --rounds to 100")
    }
    let known = DeviceEngine.measurable.map(\.toolName)
    for name in engine where !known.contains(name) {
      throw ValidationError("no engine '\(name)': there are \(known.joined(separator: ", "))")
    }
    guard !write || path != nil else { throw ValidationError("--write goes with --path") }
  }

  func run() async throws {
    Interruption.watch()
    let file = path ?? "/var/tmp/kvbench-\(getpid()).io"
    let isOurs = access(file, F_OK) != 0
    defer { if isOurs { unlink(file) } }
    let byteCount = try prepare(file, isOurs: isOurs)
    let bench = IOBench(
      path: file, byteCount: byteCount, seconds: seconds, depths: depths,
      engines: try await engines(on: file), isWriting: isOurs || write)
    guard !bench.engines.isEmpty else { throw BenchError("no engine starts on \(file)") }
    let raw = RawProbe(program: fio, path: file, byteCount: byteCount)
    let peer = IOPeer.best(raw, engines: bench.engines)
    var table = IOTable()
    for round in 1...rounds {
      say("round \(round) of \(rounds)")
      try await bench.round(round, peer, &table)
    }
    guard json else { return print(table.text(peer: peer.name)) }
    try ByteOutput.standard.writeLine([
      "ok": true, "path": .string(file), "measuredBytes": .count(byteCount),
      "seconds": .number(seconds), "rounds": .count(rounds), "peer": .string(peer.name),
      "measurements": table.json,
    ])
    try ByteOutput.standard.flush()
  }

  /// Makes or fills the file where it may be; returns how much is measured.
  private func prepare(_ file: String, isOurs: Bool) throws -> UInt64 {
    guard isOurs || write else {
      let found = try DirectFile.open(
        file, options: OpenOptions(access: .readOnly, lock: .none))
      let byteCount = min(size.byteCount, found.byteCount) & ~(1 << 20 - 1)
      guard byteCount >= 8 << 20 else { throw BenchError("\(file) has less than 8 MiB") }
      return byteCount
    }
    say("filling \(file)")
    let made =
      try isOurs
      ? DirectFile.create(file, options: CreateOptions(byteCount: size.byteCount))
      : DirectFile.open(file)
    let wanted = min(size.byteCount, made.byteCount) & ~(1 << 20 - 1)
    let filled = try DataFill.fill(made, byteCount: wanted) { Interruption.signal != nil }
    try made.close()
    guard filled == wanted, wanted >= 8 << 20 else {
      throw BenchError("\(file) was not filled, or has less than 8 MiB")
    }
    return wanted
  }

  private func engines(on file: String) async throws -> [DeviceEngine] {
    var started: [DeviceEngine] = []
    for candidate in DeviceEngine.measurable
    where engine.isEmpty || engine.contains(candidate.toolName) {
      do {
        let opened = try await Devices.open(
          file, openOptions: OpenOptions(access: .readOnly, lock: .none), engine: candidate)
        opened.device.close()
        started.append(candidate)
      } catch {
        guard engine.isEmpty else { throw error }
        say("without \(candidate.toolName): \(error.message)")
      }
    }
    return started
  }

  private func say(_ text: String) {
    guard !json else { return }
    print(text)
    fflush(nil)
  }
}
