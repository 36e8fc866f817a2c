import Console
import Varve

/// The shell for a person: words in, sentences out.
struct ShellPrompt {
  let session: ShellSession
  let storePath: String

  private static let quoting = "words with spaces stand in double quotes"
  private static let help = """
    put KEY VALUE [buffered|written|durable] [ttl=SECONDS]
    get KEY
    del KEY
    sync         make everything durable
    checkpoint   write a checkpoint of the index
    compact      move what is live together
    stat         counts, space and memory
    history      what was typed
    quit         close the store and leave
    Note: \(quoting); \\" and \\\\ inside them.
    """
  /// What each command takes.
  private static let arguments = [
    "put": " KEY VALUE [buffered|written|durable] [ttl=SECONDS]", "get": " KEY", "del": " KEY",
    "sync": "", "checkpoint": "", "compact": "", "stat": "",
  ]

  /// Reads lines until the end of input or `quit`.
  func run() async throws {
    var editor = LineEditor()
    if editor.isInteractive {
      let outcome = session.store.recoveryReport.outcome.rawValue
      try say("\(storePath): open (\(outcome)). 'help' lists the commands.")
    }
    while let line = try editor.next(prompt: "kvctl> ") {
      guard let words = Self.words(line) else {
        try say("error: a quote is not closed")
        continue
      }
      switch words.first {
      case nil: continue
      case "quit", "exit": return
      case "help", "?": try say(Self.help)
      case "history":
        let numbered = editor.history.enumerated().map { "\($0.offset + 1)  \($0.element)" }
        try say(numbered.joined(separator: "\n"))
      default: try await perform(words)
      }
    }
  }

  private func perform(_ words: [String]) async throws {
    guard let arguments = Self.arguments[words[0]] else {
      return try say("error: not a command: 'help' lists them")
    }
    guard let request = Self.request(words) else {
      return try say("error: usage: \(words[0])\(arguments) (\(Self.quoting))")
    }
    let answer = await session.answer(to: ShellRequest(request)).json
    if answer["ok"] != true {
      try say("error: \(answer["code"]?.text ?? ""): \(answer["message"]?.text ?? "")")
    } else if words[0] == "stat" {
      try say(Description.text(session.store.statistics, health: session.store.health))
    } else if answer["found"] == false {
      try say("not found")
    } else if let value = answer["value"]?.text {
      try say(value)
    } else if let value = answer["valueB64"]?.text {
      try say("base64: \(value)")
    } else if let sequence = answer["seq"]?.integer {
      try say("ok, sequence \(sequence)")
    } else {
      try say(words[0] == "del" ? "ok, there was nothing to delete" : "ok")
    }
  }

  private func say(_ text: String) throws {
    try ByteOutput.standard.writeLine(text)
    try ByteOutput.standard.flush()
  }

  /// The request that some words stand for, or nil where they are too few, too many or wrong.
  private static func request(_ words: [String]) -> JSONValue? {
    switch (words[0], words.count) {
    case ("put", 3...5): return put(words)
    case ("get", 2), ("del", 2): return ["op": .string(words[0]), "key": .string(words[1])]
    case ("sync", 1), ("checkpoint", 1), ("compact", 1), ("stat", 1):
      return ["op": .string(words[0])]
    default: return nil
    }
  }

  private static func put(_ words: [String]) -> JSONValue? {
    var members: [JSONValue.Member] = [
      .init("op", "put"), .init("key", .string(words[1])), .init("value", .string(words[2])),
    ]
    for word in words.dropFirst(3) {
      // A value of two words without quotes is the likelier slip than a wrong level.
      if Durability(rawValue: word) != nil {
        members.append(.init("durability", .string(word)))
      } else if word.hasPrefix("ttl="), let seconds = Double(word.dropFirst(4)) {
        members.append(.init("ttl", .number(seconds)))
      } else {
        return nil
      }
    }
    return .object(members)
  }

  /// The words of a line; nil where a quote is not closed.
  static func words(_ line: String) -> [String]? {
    var words: [String] = []
    var word: String?
    var isQuoted = false
    var characters = line.makeIterator()
    while let character = characters.next() {
      switch character {
      case "\"":
        isQuoted.toggle()
        word = word ?? ""
      case "\\" where isQuoted:
        guard let escaped = characters.next() else { return nil }
        word = (word ?? "") + String(escaped)
      case " " where !isQuoted, "\t" where !isQuoted:
        if let word { words.append(word) }
        word = nil
      default: word = (word ?? "") + String(character)
      }
    }
    if let word { words.append(word) }
    return isQuoted ? nil : words
  }
}
