import ArgumentParser
import Console
import Logging
import ServiceLifecycle
import UnixSignals
import Varve
import VarveLifecycle

/// The example: a service that keeps its sessions in a store.
struct SessionService: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "session-service",
    abstract: "An example: a service that keeps user sessions in a Varve store.",
    discussion: """
      EXAMPLES:
        session-service /var/tmp/sessions.varve --rounds 1000
        session-service /var/tmp/sessions.varve      (until SIGTERM or control-C)

      Many tasks use one store at once: each begins sessions (durable, only if the
      token is unused), counts visits (read, change, write if unchanged) and ends
      sessions. The store runs as a service of swift-service-lifecycle: on SIGTERM
      the clients finish what they are at, then the store drains and is marked clean.
      A second instance waits for the first to let go, as in a rolling restart. The
      store is made where there is none. kvctl stat STORE --watch looks into it while
      it runs.

      READ THE SOURCE: SessionStore.swift (records on a store), Traffic.swift (many
      tasks), SessionService.swift (open, run, shut down).
      """)

  @Argument(help: "The store's file; made if it is not there.")
  var path: String
  @Option(help: "Clients that work at once.")
  var clients = 16
  @Option(help: "Sessions that each client begins. Default: until the service is shut down.")
  var rounds: Int?

  mutating func validate() throws {
    guard (1...10_000).contains(clients), rounds ?? 0 >= 0 else {
      throw ValidationError("--clients must lie between 1 and 10000, and --rounds not below 0")
    }
  }

  func run() async throws {
    let logger = Logger(label: "session-service") { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = .warning
      return handler
    }
    let store = try await openStore(logger)
    let opening = "open \(path): \(store.statistics.keyCount) sessions"
    let counts = Traffic.Counts()
    let traffic = Traffic(
      sessions: SessionStore(store: store), clientCount: clients, roundCount: rounds,
      counts: counts, serving: { try say(opening) })
    // The store comes first, so that it is shut down last.
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [
          .init(service: store),
          .init(service: traffic, successTerminationBehavior: .gracefullyShutdownGroup),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    do {
      try await group.run()
    } catch let error as StoreError {
      throw ToolError(error, subject: path)
    }
    let tally = counts.current
    try say("closed: \(tally.begun) begun, \(tally.visits) visits, \(tally.ended) ended")
  }

  private func openStore(_ logger: Logger) async throws(ToolError) -> Store {
    let options = StoreOptions(
      memoryBudget: 64 << 20, waitForLockSeconds: 30, logger: logger,
      statisticsSocketPath: StoreOptions.statisticsSocketPath(forStoreAt: path))
    do throws(StoreError) {
      do throws(StoreError) {
        return try await Store.open(path: path, options: options)
      } catch {
        guard error.code == .notFound else { throw error }
        try await Store.create(path: path, options: FormatOptions(byteCount: 64 << 20))
        return try await Store.open(path: path, options: options)
      }
    } catch {
      throw ToolError(error, subject: path)
    }
  }

  private func say(_ text: String) throws(ToolError) {
    try ByteOutput.standard.writeLine(text)
    try ByteOutput.standard.flush()
  }
}
