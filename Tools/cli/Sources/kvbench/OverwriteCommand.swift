import ArgumentParser
import Console
import Foundation
import KeyLoad

/// Steady overwrite of a store that is mostly full, beside other stores.
struct OverwriteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "overwrite",
    abstract: "Steady overwrite of a mostly full store, beside RocksDB in the same run.",
    discussion: """
      EXAMPLES:
        kvbench overwrite --quick
        kvbench overwrite --zipf 0.99 --reads 50 --json result.json
        kvbench overwrite --share 90 --seconds 120 --at /mnt/data

      Loads the keys, overwrites some to bring each store to where it stays, then
      measures: operations in every second, latencies, bytes written for each byte of
      the user's, space, CPU. Puts are buffered: acknowledged in memory, the log
      written but not flushed. Each store runs in a process of its own, with the same
      keys, values, tasks and memory.

      A fill is as many puts as the store has room for records. The full run, 4
      million keys with 512 MiB of memory, takes half an hour and 15 GiB of disk;
      --quick a minute.

      The peers are a package of their own, so that only this comparison needs their
      libraries. Build it once, from the top of the repository:

        apt install librocksdb-dev
        swift build -c release --package-path Tools/peers

      Its program kvpeer is looked for beside kvbench, then in Tools/peers/.build.

      Bytes written are those that the kernel counts for the process (direct writes
      where they are submitted, buffered ones where a page becomes dirty); `whole
      device` is the disk's own counter, with the file system's share and everybody
      else's. The exit code is 1 where a store failed, such as with `full`.
      """)

  @Option(help: "The folder for the stores, which are removed at the end.")
  var at = "/var/tmp"
  @Option(help: "Keys, with values of 1 KiB that do not compress: from 10000.")
  var keys: UInt64?
  @Option(
    help: ArgumentHelp(
      "The percentage of Varve's usable payload that they take: from 1 to 100.",
      discussion: "Usable are at most 90 % of the pages, with three records each."))
  var share = 70.0
  @Option(help: "Fills before the measurement.")
  var warmUp: Double?
  @Option(help: "Fills that are measured.")
  var fills: Double?
  @Option(help: "Seconds that are measured, instead of fills.")
  var seconds: Int?
  @Option(help: "Tasks that put and get at once: from 1 to 1024.")
  var tasks = 8
  @Option(help: "Zipfian choice of keys with this exponent; default: uniform.")
  var zipf: Double?
  @Option(help: "The percentage of gets among the operations: from 0 to 99.")
  var reads = 0.0
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What a store may hold in memory: from 16MiB to 1TiB. Of a peer: block cache and memtables.",
      valueName: "size"),
    transform: ByteSize.argument)
  var memoryBudget: ByteSize?
  @Option(help: "Rounds, from 1 to 100; medians are printed.")
  var rounds: Int?
  @Flag(help: "200,000 keys, 64 MiB of memory, one round.")
  var quick = false
  @Option(help: ArgumentHelp("Where Varve's tasks run: default or store.", valueName: "name"))
  var executor = "default"
  @Flag(help: "Lets peers use the page cache, which then adds to their memory.")
  var bufferedPeers = false
  @Option(help: "A peer, once for each, or none; default: all that kvpeer knows.")
  var peer: [String] = []
  @Option(help: "Another program kvpeer.")
  var kvpeer: String?
  @Option(help: "Another program with fio's options; none measures without.")
  var fio = "fio"
  @Option(help: "Writes everything that was measured to a file.")
  var json: String?

  func validate() throws {
    let values = settings
    guard values.keys >= 10_000, (1...100).contains(share), (0...99).contains(reads),
      values.warmUp >= 0, values.fills > 0, (1...86_400).contains(seconds ?? 1),
      (1...1024).contains(tasks), (0.01...10).contains(zipf ?? 1), (1...100).contains(values.rounds)
    else {
      throw ValidationError(
        "--keys from 10000, --share from 1 to 100, --reads from 0 to 99, --tasks from 1 to 1024, "
          + "--zipf from 0.01 to 10, --rounds from 1 to 100, --fills and --seconds above 0")
    }
    guard (16 << 20...1 << 40).contains(values.memoryByteCount) else {
      throw ValidationError("--memory-budget from 16MiB to 1TiB")
    }
    guard ["default", "store"].contains(executor) else {
      throw ValidationError("--executor is default or store")
    }
  }

  /// What holds where an option is not given.
  private var settings:
    (keys: UInt64, warmUp: Double, fills: Double, memoryByteCount: UInt64, rounds: Int)
  {
    (
      keys ?? (quick ? 200_000 : 4_000_000), warmUp ?? 1, fills ?? 3,
      memoryBudget?.byteCount ?? (quick ? 64 << 20 : 512 << 20), rounds ?? (quick ? 1 : 3)
    )
  }

  func run() async throws {
    Interruption.watch()
    let folder = at + "/kvbench-\(getpid()).overwrite"
    let stores = try stores()
    let plan = plan(folder)
    let raw = RawProbe(program: fio, path: folder + "/raw", byteCount: 1 << 30)
    let hasFIO = (try? Child.run("/usr/bin/env", [fio, "--version"], isQuiet: true)) != nil
    if !hasFIO { say("without fio (apt install fio)") }
    let bench = OverwriteBench(
      folder: folder, plan: plan, stores: stores, raw: hasFIO ? raw : nil, say: say)
    let rounds = try bench.run(rounds: settings.rounds)
    let table = OverwriteTable(rounds, stores: stores.map(\.name))
    if let json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try encoder.encode(table).write(to: URL(fileURLWithPath: json))
    }
    print(table.text)
    if !table.failures.isEmpty { throw ExitCode(1) }
  }

  /// Varve and the peers that are asked for; says what is missing.
  private func stores() throws -> [(name: String, process: LoadProcess)] {
    let own = [(name: OverwriteTable.own, process: LoadProcess.varve)]
    guard peer != ["none"] else { return own }
    guard let program = try PeerProgram.find(kvpeer) else {
      guard peer.isEmpty else { throw BenchError("no kvpeer is built: \(PeerProgram.remedy)") }
      say("without peers; to build them: \(PeerProgram.remedy)")
      return own
    }
    let known = try program.peers()
    for name in peer where !known.contains(name) {
      throw BenchError("no peer '\(name)': \(program.path) knows \(known.joined(separator: ", "))")
    }
    return own
      + (peer.isEmpty ? known : peer).map { ($0, LoadProcess.peer($0, of: program)) }
  }

  private func plan(_ folder: String) -> LoadPlan {
    let values = settings
    let storeByteCount = StoreCapacity.storeByteCount(
      recordCount: values.keys, share: share / 100)
    let capacity = StoreCapacity.recordCount(storeByteCount: storeByteCount)
    let operationsPerFill = Double(capacity) / (1 - reads / 100)
    var plan = LoadPlan(
      path: folder, storeByteCount: storeByteCount, memoryByteCount: Int(values.memoryByteCount),
      keyCount: values.keys)
    plan.taskCount = tasks
    plan.warmUpOperationCount = UInt64(values.warmUp * operationsPerFill)
    plan.measuredOperationCount =
      seconds == nil ? max(1, UInt64(values.fills * operationsPerFill)) : nil
    plan.measuredSeconds = seconds ?? 0
    plan.zipfExponent = zipf
    plan.readShare = reads / 100
    plan.prefersStoreExecutor = executor == "store"
    plan.usesDirectIO = !bufferedPeers
    let percent = Double(values.keys) / Double(capacity) * 100
    let pageShare = StoreCapacity.pageShare(
      ofRecords: values.keys, storeByteCount: storeByteCount)
    say(
      "\(values.keys) keys take \(ResultTable.number(percent)) % of the usable payload, "
        + "\(ResultTable.number(pageShare * 100)) % of the pages, of a store of "
        + "\(storeByteCount >> 20) MiB; \(tasks) tasks, "
        + (zipf.map { "zipf \($0)" } ?? "uniform") + ", \(ResultTable.number(reads)) % gets")
    return plan
  }

  private func say(_ text: String) {
    print(text)
    fflush(nil)
  }
}

/// Runs a plan on Varve in a process of its own. Used by `overwrite`.
struct OverwriteVarveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "overwrite-varve", abstract: "Run a plan on Varve and tell what happens by lines.",
    shouldDisplay: false)

  @Argument var plan: String

  func run() async throws { await LoadChild.run(plan) { try await VarveUnderLoad($0) } }
}
