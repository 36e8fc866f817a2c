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

      A line is {"keyB64":"…","valueB64":"…","seq":N}; the order means nothing. One
      that expires has "expiresMs", milliseconds since 1970, and load heeds it.
      The memory taken does not grow with the store. A record that cannot be
      read is named on standard error, the others are written, and the exit
      code is 20. After damage of unknown extent, --allow-degraded writes what
      is left: a line with "suspect":true may be an older version, others may
      be missing, and the exit code is 20.
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
    try await shared.withStore(
      path, readOnly: true, allowDegraded: allowDegraded, allowSuspectReads: allowDegraded
    ) { store in
      let tally = try await write(store, meter)
      try ByteOutput.standard.flush()
      if let error = tally.error { throw error }
    }
  }

  /// Writes every record that can be read.
  private func write(_ store: Store, _ meter: ProgressMeter) async throws -> DumpTally {
    let suspectCeiling = store.recoveryReport.suspectCeiling
    var tally = DumpTally(mayMissRecords: suspectCeiling != nil)
    var records = store.records.makeAsyncIterator()
    while true {
      let record: Record
      do throws(StoreError) {
        guard let next = try await records.next() else { return tally }
        record = next
      } catch {
        guard DumpTally.isDamage(error) else { throw error }
        if !shared.json { shared.remark(error.message) }
        tally.add(error)
        continue
      }
      let isSuspect = record.sequence < suspectCeiling ?? 0
      try ByteOutput.standard.writeLine(line(record, isSuspect: isSuspect))
      tally.add(record, isSuspect: isSuspect)
      meter.update(
        byteCountDone: tally.byteCount, itemCount: tally.recordCount, items: "records")
    }
  }

  private func line(_ record: Record, isSuspect: Bool) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("keyB64", .string(Base64.encode(record.key))),
      .init("valueB64", .string(Base64.encode(record.value))),
      .init("seq", .count(record.sequence)),
    ]
    if let expiry = record.expiryMilliseconds { members.append(.init("expiresMs", .count(expiry))) }
    if isSuspect { members.append(.init("suspect", true)) }
    return .object(members)
  }
}
