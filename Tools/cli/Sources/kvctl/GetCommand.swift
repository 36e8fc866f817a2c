import ArgumentParser
import Console
import Varve

struct GetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "get",
    abstract: "Writes the value of a key to standard output.",
    usage: "kvctl get STORE KEY [--hex | --base64] [--json]",
    discussion: """
      EXAMPLES:
        kvctl get store.varve greeting
        kvctl get store.varve picture > picture.png
        kvctl get store.varve 00ff --hex

      The bytes come as they are; a terminal gets a line end after them.
      With --json a value that expires comes with the seconds that it has left, as
      "ttl". Exit code 1: not found, or expired.
      """)

  @Argument(help: .store("key")) var arguments: [String] = []
  @Flag(help: "Open a store with damage of unknown extent, too.")
  var allowDegraded = false
  @OptionGroup var encoding: KeyEncoding
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let (path, rest) = try StorePath.split(arguments, names: ["KEY"])
    let key = try encoding.decode(rest[0], what: "key")
    let found = try await shared.withStore(
      path, readOnly: true, allowDegraded: allowDegraded
    ) { store in
      try await store.get(key)
    }
    guard let found else {
      guard shared.json else {
        throw ToolError(.failure, code: "notFound", "the key has no value")
      }
      try ByteOutput.standard.writeLine(["ok": true, "found": false])
      throw ExitCode(ExitStatus.failure.rawValue)
    }
    if shared.json {
      let value = JSONBytes.member(
        "value", found.value, alwaysBase64: encoding.isHexadecimal || encoding.isBase64)
      try ByteOutput.standard.writeLine(
        JSONValue.object(
          [
            .init("ok", true), .init("found", true), value, .init("seq", .count(found.sequence)),
          ] + TimeToLive.member(of: found)))
    } else if let text = encoding.encode(found.value) {
      try ByteOutput.standard.writeLine(text)
    } else {
      try ByteOutput.standard.write(found.value)
      if ByteOutput.standard.isTerminal { try ByteOutput.standard.write([10]) }
    }
  }
}
