import ArgumentParser
import Console
import Glibc
import Varve

/// Load, open after a kill, reads that miss, durable puts: each beside fio.
struct BasicsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "basics",
    abstract: "Load, open after SIGKILL, uniform misses and durable puts, each beside fio.")

  @Option(help: "The folder for the store and fio's file; both are removed at the end.")
  var at = "/var/tmp"

  @Option(help: "Keys to load, with values of 1 KiB that do not compress.")
  var keys: UInt64 = 1_000_000

  @Option(help: "Rounds of every measurement; medians are printed.")
  var rounds = 3

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The store's memory budget: from 16MiB to 1TiB.", valueName: "size"),
    transform: ByteSize.argument)
  var memoryBudget = ByteSize(256 << 20)

  @Option(help: "Another program with fio's options.")
  var fio = "fio"

  func validate() throws {
    guard keys >= 1000, rounds >= 1, rounds <= 100,
      (16 << 20...1 << 40).contains(memoryBudget.byteCount)
    else {
      throw ValidationError(
        "--keys from 1000, --rounds from 1 to 100, --memory-budget from 16MiB to 1TiB")
    }
  }

  func run() async throws {
    let bench = StoreBench(
      path: at + "/kvbench-\(getpid()).varve", keyCount: keys,
      memoryBudget: Int(memoryBudget.byteCount))
    let raw = RawProbe(
      program: fio, path: at + "/kvbench-\(getpid()).raw", byteCount: bench.deviceByteCount)
    defer {
      unlink(bench.path)
      unlink(raw.path)
    }
    print("preparing: writing \(raw.byteCount >> 20) MiB for the probes")
    try raw.prepare()
    var table = ResultTable()
    for round in 1...rounds {
      print("round \(round) of \(rounds)")
      try await loads(bench, raw, &table)
      try await reads(bench, raw, &table)
      try await durablePuts(bench, raw, &table)
    }
    print(table.text)
  }

  private func loads(
    _ bench: StoreBench, _ raw: RawProbe, _ table: inout ResultTable
  ) async throws {
    let bandwidth = try raw.sequentialWriteBytesPerSecond()
    let load = try await bench.loadInChild()
    table.add(
      "load, buffered, 1 KiB: device bytes/s, fio 1 MiB write", load.deviceBytesPerSecond,
      raw: bandwidth)
    table.add("load, buffered, 1 KiB: puts/s", load.putsPerSecond)
    table.add("load: CPU ns per put", load.cpuNanoseconds)
    let open = try await bench.open()
    table.add("open after SIGKILL: seconds", open.seconds)
    table.add("open after SIGKILL: bytes read", open.readBytes)
    table.add("index: bytes per key", open.bytesPerKey)
  }

  private func reads(
    _ bench: StoreBench, _ raw: RawProbe, _ table: inout ResultTable
  ) async throws {
    for depth in [1, 16, 64] {
      let probe = try raw.randomReads(
        path: bench.path, byteCount: bench.loadedByteCount, depth: depth)
      let result = try await bench.misses(inFlight: depth)
      table.add(
        "uniform misses, \(depth) in flight: gets/s, fio libaio", result.rate, raw: probe.rate)
      table.add(
        "uniform misses, \(depth) in flight: CPU ns per get, fio", result.cpuNanoseconds,
        raw: probe.cpuNanoseconds)
    }
    let probe = try raw.randomReads(
      path: bench.path, byteCount: bench.loadedByteCount, depth: 64)
    let result = try await bench.multiGets()
    table.add("multi-get of 64, one caller: keys/s, fio libaio 64", result.rate, raw: probe.rate)
  }

  private func durablePuts(
    _ bench: StoreBench, _ raw: RawProbe, _ table: inout ResultTable
  ) async throws {
    for writers in [1, 16, 64, 256] {
      let probe = try raw.flushedWrites()
      let result = try await bench.durablePuts(writers: writers)
      table.add(
        "durable puts, \(writers) writers: puts/s, fio 4 KiB write + fdatasync", result.rate,
        raw: probe)
      table.add("durable puts, \(writers) writers: CPU ns per put", result.cpuNanoseconds)
    }
  }
}

/// Loads a store and kills itself: the state that a crash leaves. Used by `basics`.
struct LoadAndDieCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load-and-die", abstract: "Load a store, print the figures, die by SIGKILL.",
    shouldDisplay: false)

  @Argument var path: String
  @Argument var keys: UInt64
  @Argument var memoryBudget: Int

  func run() async throws {
    let bench = StoreBench(path: path, keyCount: keys, memoryBudget: memoryBudget)
    let loaded = try await bench.load()
    print(loaded.figures.map { String($0) }.joined(separator: " "))
    fflush(nil)
    _ = withExtendedLifetime(loaded.store) { kill(getpid(), SIGKILL) }
  }
}
