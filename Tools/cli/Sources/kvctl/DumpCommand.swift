import ArgumentParser
import Console
import Varve

struct DumpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump",
    abstract: "Writes every live record as a line of JSON.",
    usage: "kvctl dump STORE [--allow-degraded]",
    discussion: """
      EXAMPLES:
        kvctl dump store.varve > backup.jsonl
        kvctl dump old.varve | kvctl load new.varve --jsonl -

      A line is {"keyB64":"…","valueB64":"…","seq":N}; the order means nothing. The
      memory taken does not grow with the store.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Flag(help: "Open a store with damage of unknown extent, too.")
  var allowDegraded = false
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let path = try StorePath.split(arguments).store
    let isShown = !ByteOutput.standard.isTerminal && shared.showsProgress
    let meter = ProgressMeter("dumping", isShown: isShown)
    defer { meter.finish() }
    try await shared.withStore(path, readOnly: true, allowDegraded: allowDegraded) { store in
      var byteCount: UInt64 = 0
      var recordCount = 0
      for try await record in store.records {
        try ByteOutput.standard.writeLine([
          "keyB64": .string(Base64.encode(record.key)),
          "valueB64": .string(Base64.encode(record.value)), "seq": .count(record.sequence),
        ])
        recordCount += 1
        byteCount += UInt64(record.key.count + record.value.count)
        meter.update(byteCountDone: byteCount, itemCount: recordCount, items: "records")
      }
      try ByteOutput.standard.flush()
    }
  }
}
