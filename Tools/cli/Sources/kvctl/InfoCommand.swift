import ArgumentParser
import Console
import Varve

struct InfoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Shows what the superblock and the segment table say.",
    usage: "kvctl info STORE [--json]",
    discussion: """
      EXAMPLES:
        kvctl info store.varve
        kvctl info store.varve --json

      Works on a damaged store, one that was cut short or grown, and one in use (then
      marked live: it may be stale). Never writes.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let path = try StorePath.split(arguments).store
    let info: StoreInfo
    do {
      info = try await Store.info(path: path)
    } catch {
      throw ToolError(error, subject: path)
    }
    if shared.json {
      try ByteOutput.standard.writeLine(Description.json(info, path: path))
    } else {
      try ByteOutput.standard.writeLine(Description.text(info, path: path))
    }
  }
}
