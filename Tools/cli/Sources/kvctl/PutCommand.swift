import ArgumentParser
import Console
import Varve

struct PutCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "put",
    abstract: "Sets the value of a key.",
    usage: """
      kvctl put STORE KEY VALUE [--durability LEVEL] [--ttl SECONDS]
        [--if-absent | --if-seq N]
      """,
    discussion: """
      EXAMPLES:
        kvctl put store.varve greeting hello
        kvctl put store.varve picture @picture.png
        date | kvctl put store.varve today -
        kvctl put store.varve lock me --if-absent --ttl 30

      VALUE may be - for standard input, or @FILE. After --ttl the key has no value
      any more; without it the value stays, whatever the key had before. A condition
      that does not hold gives exit code 1.
      """)

  @Argument(help: .store("key", "value")) var arguments: [String] = []
  @Option(help: "What the write survives when the command ends: buffered, written or durable.")
  var durability: Durability = .durable
  @Flag(help: "Only if the key has no value.")
  var ifAbsent = false
  @Option(
    parsing: .unconditional, help: "Only if the key's current sequence number is this one.")
  var ifSeq: UInt64?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "When the key ceases to have a value: after so many seconds, such as 60 or 0.5.",
      valueName: "seconds"))
  var ttl: Double?
  @OptionGroup var encoding: KeyEncoding
  @OptionGroup var shared: SharedOptions

  mutating func validate() throws {
    if let ttl, TimeToLive.expiry(seconds: ttl) == nil {
      throw ValidationError("--ttl must be \(TimeToLive.rule), and is \(ttl)")
    }
    guard !(ifAbsent && ifSeq != nil) else {
      throw ValidationError("--if-absent and --if-seq exclude each other")
    }
  }

  func run() async throws {
    let (path, rest) = try StorePath.split(arguments, names: ["KEY", "VALUE"])
    let key = try encoding.decode(rest[0], what: "key")
    let value = try value(rest[1])
    let condition: WriteCondition =
      if ifAbsent { .ifAbsent } else { ifSeq.map { .ifSequence($0) } ?? .always }
    let expiry = ttl.flatMap { TimeToLive.expiry(seconds: $0) } ?? .never
    let outcome = try await shared.withStore(path, readOnly: false) { store in
      try await store.put(
        key, value, condition: condition, expiry: expiry, durability: durability)
    }
    switch outcome {
    case .applied(let sequence):
      if shared.json {
        try ByteOutput.standard.writeLine(["ok": true, "seq": .count(sequence)])
      }
    case .refused(let current):
      guard shared.json else {
        let reason = current.map { "its sequence number is \($0)" } ?? "it has no value"
        throw ToolError(.failure, code: "notApplied", "the key was left as it is: \(reason)")
      }
      var members: [JSONValue.Member] = [.init("ok", true), .init("applied", false)]
      if let current { members.append(.init("seq", .count(current))) }
      try ByteOutput.standard.writeLine(JSONValue.object(members))
      throw ExitCode(ExitStatus.failure.rawValue)
    }
  }

  /// Reads a value to one byte over the limit at most: the store then refuses it with its reason.
  private func value(_ argument: String) throws(ToolError) -> [UInt8] {
    let bound = (16 << 20) + 1
    guard argument != "@" else {
      throw .usage("@ names no file: VALUE is a text, - for standard input, or @FILE")
    }
    do throws(FileContents.Failure) {
      if argument == "-" {
        return try FileContents.read(descriptor: 0, maximumByteCount: bound)
      }
      if argument.hasPrefix("@") {
        return try FileContents.read(
          path: Array(argument.dropFirst().utf8), maximumByteCount: bound, followingLinks: true)
      }
    } catch {
      let name = argument == "-" ? "standard input" : String(argument.dropFirst())
      switch error {
      case .tooLong:
        throw ToolError(.failure, code: "tooLarge", "\(name) is over the limit of 16 MiB a value")
      case .notRegular:
        throw ToolError(
          .failure, code: "io", "\(name) is no regular file: pipe it, and name - as VALUE")
      case .system(let number):
        let remedy =
          argument == "-"
          ? "" : " (VALUE is read from a file because of the @; a text with @ comes through -)"
        throw ToolError(
          .failure, code: "io", "\(name): \(ToolError.reason(number))\(remedy)")
      }
    }
    return try encoding.decode(argument, what: "value")
  }
}
