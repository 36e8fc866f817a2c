import ArgumentParser
import Console
import Varve

struct ShellCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shell",
    abstract: "Keeps a store open and answers requests, one a line.",
    usage: "kvctl shell STORE [--json [--concurrency N]] [--read-only] [--allow-degraded]",
    discussion: """
      EXAMPLES:
        kvctl shell store.varve
        echo '{"op":"get","key":"greeting"}' | kvctl shell store.varve --json

      With --json: one object a line in, one a line out, in order, flushed after
      each. Operations: put, get, del, batch, mget, sync, checkpoint, stat, close. An
      id is echoed. --concurrency runs several at once and answers each when it is
      done, so that only the id tells which. The end of input, and SIGTERM, SIGINT
      or SIGHUP, finish what runs and close the store.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Flag(help: "Open the store for reading only.")
  var readOnly = false
  @Flag(help: "Open a store with damage of unknown extent, for reading only.")
  var allowDegraded = false
  @Option(parsing: .unconditional, help: "Requests that run at once (with --json): up to 4096.")
  var concurrency = 1
  @OptionGroup var shared: SharedOptions

  mutating func validate() throws {
    guard (1...4096).contains(concurrency) else {
      throw ValidationError("--concurrency must lie between 1 and 4096")
    }
  }

  func run() async throws {
    let path = try StorePath.split(arguments).store
    let store = try await shared.openStore(
      path, readOnly: readOnly || allowDegraded, allowDegraded: allowDegraded)
    // From here on a signal is an end of input: what runs is finished, and the store is closed.
    Interruption.watch()
    let session = ShellSession(store: store)
    if shared.json {
      try await serve(session)
    } else {
      try await ShellPrompt(session: session, storePath: path).run()
    }
    // The end of input closes the store as a request would; closing twice is harmless.
    do {
      try await store.close()
    } catch {
      throw ToolError(error, subject: "closing the store")
    }
    if let signal = Interruption.signal { throw ExitCode(128 + signal) }
  }

  private func serve(_ session: ShellSession) async throws {
    try Self.answer(session.opening)
    var lines = LineReader(descriptor: 0, endsOnSignal: true)
    guard concurrency > 1 else {
      while let line = try lines.next() {
        let answer = await session.answer(to: line)
        try Self.answer(answer.json)
        if answer.isLast { return }
      }
      return
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      var running = 0
      while let line = try lines.next() {
        let request = ShellRequest(line)
        // A close ends what runs before it.
        let mustWait = request.closesStore ? running : max(0, running - concurrency + 1)
        for _ in 0..<mustWait { try await group.next() }
        running -= mustWait
        if request.closesStore {
          try Self.answer(await session.answer(to: request).json)
          return
        }
        group.addTask { try Self.answer(await session.answer(to: request).json) }
        running += 1
      }
      try await group.waitForAll()
    }
  }

  private static func answer(_ json: JSONValue) throws {
    try ByteOutput.standard.writeLine(json)
    try ByteOutput.standard.flush()
  }
}
