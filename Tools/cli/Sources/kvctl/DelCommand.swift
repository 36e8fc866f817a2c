import ArgumentParser
import Console
import Varve

struct DelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "del",
    abstract: "Removes a key.",
    usage: "kvctl del STORE KEY [--durability LEVEL] [--must-exist]",
    discussion: """
      EXAMPLES:
        kvctl del store.varve greeting
        kvctl del store.varve greeting --must-exist

      Exit code 0 whether or not the key existed; with --must-exist 1 where it did
      not.
      """)

  @Argument(help: .store("key")) var arguments: [String] = []
  @Option(help: "What the delete survives when the command ends: buffered, written or durable.")
  var durability: Durability = .durable
  @Flag(help: "Fail where the key has no value.")
  var mustExist = false
  @OptionGroup var encoding: KeyEncoding
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let (path, rest) = try StorePath.split(arguments, names: ["KEY"])
    let key = try encoding.decode(rest[0], what: "key")
    let sequence = try await shared.withStore(path, readOnly: false) { store in
      try await store.delete(key, durability: durability)
    }
    if sequence == nil, mustExist {
      throw ToolError(.failure, code: "notFound", "the key has no value")
    }
    if shared.json {
      var members: [JSONValue.Member] = [.init("ok", true)]
      if let sequence { members.append(.init("seq", .count(sequence))) }
      try ByteOutput.standard.writeLine(JSONValue.object(members))
    }
  }
}
