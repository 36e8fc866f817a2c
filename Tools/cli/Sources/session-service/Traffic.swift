import ServiceLifecycle
import Synchronization
import Varve

/// Stands for the network: users who begin sessions, visit, and leave, each in a task of its own.
/// A real service has its server here.
struct Traffic: Service {
  /// What the service did.
  struct Tally: Sendable {
    var begun = 0
    var visits = 0
    var ended = 0
  }

  /// The counts, shared by the tasks.
  final class Counts: Sendable {
    private let tally = Mutex(Tally())
    var current: Tally { tally.withLock { $0 } }
    func add(_ change: (inout Tally) -> Void) { tally.withLock { change(&$0) } }
  }

  let sessions: SessionStore
  let clientCount: Int
  /// Rounds of each client; nil goes on until the service is shut down.
  let roundCount: Int?
  let counts: Counts
  /// Called once it serves: whoever waits for the service to be up is told then, when signals are
  /// heard already.
  let serving: @Sendable () throws -> Void

  /// Serves until every client is done or the group shuts down. What was begun is finished: the
  /// store closes after this has returned.
  func run() async throws {
    try serving()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for client in 0..<clientCount {
        group.addTask { try await serve(client) }
      }
      try await group.waitForAll()
    }
  }

  /// Sessions that each client leaves open; beyond that it ends the oldest.
  private static let openSessionCount = 32

  private func serve(_ client: Int) async throws(StoreError) {
    var tokens: [String] = []
    var round = 0
    while !Task.isShuttingDownGracefully, !Task.isCancelled, round < roundCount ?? .max {
      tokens.append(try await beginAndVisit("user-\(client)-\(round)"))
      round += 1
      guard tokens.count > Self.openSessionCount else { continue }
      try await sessions.end(tokens.removeFirst())
      counts.add { $0.ended += 1 }
    }
  }

  /// One user: begins a session and visits three times.
  private func beginAndVisit(_ user: String) async throws(StoreError) -> String {
    let token = try await sessions.begin(user: user)
    counts.add { $0.begun += 1 }
    for _ in 0..<3 where try await sessions.visit(token) { counts.add { $0.visits += 1 } }
    guard try await sessions.session(token)?.visitCount == 3 else {
      throw StoreError(.corrupt, "a session that nobody else knows has other visits than its own")
    }
    return token
  }
}
