import Varve

/// Sessions of users, kept in a store: what an application would have for its own kind of record.
/// Any number of tasks may use it at once.
struct SessionStore: Sendable {
  /// A session.
  struct Session: Sendable, Equatable {
    let user: String
    var visitCount: Int

    init(user: String, visitCount: Int) {
      self.user = user
      self.visitCount = visitCount
    }

    /// Reads what `bytes` writes; nil where it is something else.
    init?(_ bytes: [UInt8]) {
      let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ", maxSplits: 1)
      guard fields.count == 2, let visitCount = Int(fields[0]) else { return nil }
      self.init(user: String(fields[1]), visitCount: visitCount)
    }

    var bytes: [UInt8] { Array("\(visitCount) \(user)".utf8) }
  }

  let store: Store

  private static func key(_ token: String) -> String { "session:" + token }

  /// Begins a session and returns its token. Durable: once the user has the token, it is good.
  func begin(user: String) async throws(StoreError) -> String {
    while true {
      let token = String(UInt64.random(in: .min ... .max), radix: 36)
      let session = Session(user: user, visitCount: 0)
      let outcome = try await store.put(
        Self.key(token), session.bytes, condition: .ifAbsent, durability: .durable)
      // Two users never get one token, however unlikely it is to be drawn twice.
      if outcome.isApplied { return token }
    }
  }

  /// The session of a token.
  func session(_ token: String) async throws(StoreError) -> Session? {
    try await store.get(Self.key(token)).flatMap { Session($0.value) }
  }

  /// Counts a visit, also when several tasks do so at once; false where the session has ended.
  /// Survives a crash of this process; a power loss may take the last visits, not the session.
  func visit(_ token: String) async throws(StoreError) -> Bool {
    let sequence = try await store.update(Self.key(token), durability: .written) { current in
      guard var session = current.flatMap({ Session($0.value) }) else { return .keep }
      session.visitCount += 1
      return .put(session.bytes)
    }
    return sequence != nil
  }

  /// Ends a session. Durable: a token that was given back stays so.
  func end(_ token: String) async throws(StoreError) {
    try await store.delete(Self.key(token), durability: .durable)
  }
}
