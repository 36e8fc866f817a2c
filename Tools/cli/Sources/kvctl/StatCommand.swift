import ArgumentParser
import Console
import Varve

struct StatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stat",
    abstract: "Opens a store for reading and shows counts, space and memory.",
    usage: "kvctl stat STORE [--json]",
    discussion: """
      EXAMPLES:
        kvctl stat store.varve
        kvctl stat store.varve --json
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Flag(help: "Open a store with damage of unknown extent, too.")
  var allowDegraded = false
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let path = try StorePath.split(arguments).store
    try await shared.withStore(path, readOnly: true, allowDegraded: allowDegraded) { store in
      let statistics = store.statistics
      if shared.json {
        let json = Description.json(statistics).adding([
          JSONValue.Member("health", .string(store.health.rawValue))
        ])
        try ByteOutput.standard.writeLine(["ok": true, "stat": json])
      } else {
        try ByteOutput.standard.writeLine(Description.text(statistics, health: store.health))
      }
    }
  }
}
