import Console
import Varve

/// Runs requests on an open store.
struct ShellSession: Sendable {
  let store: Store

  /// The first line: how the store was found.
  var opening: JSONValue {
    let report = store.recoveryReport
    let line: JSONValue = [
      "ok": true, "event": "open", "outcome": .string(report.outcome.rawValue),
      "droppedRecords": .count(report.droppedRecordCount),
    ]
    guard let seconds = report.heldClockJumpSeconds else { return line }
    return line.adding([.init("clockHeldSeconds", .number(seconds))])
  }

  /// Runs the request on a line.
  func answer(to line: LineReader.Line) async -> (json: JSONValue, isLast: Bool) {
    await answer(to: ShellRequest(line))
  }

  /// Runs a request. A refused one is answered, too.
  func answer(to request: ShellRequest) async -> (json: JSONValue, isLast: Bool) {
    var members: [JSONValue.Member]
    switch request.operation {
    case .failure(let error): members = Self.failure(error)
    case .success(let operation):
      do throws(StoreError) {
        members = [.init("ok", true)] + (try await run(operation))
      } catch {
        members = Self.failure(ToolError(error))
      }
    }
    if let id = request.id { members.append(.init("id", id)) }
    return (.object(members), request.closesStore)
  }

  private static func failure(_ error: ToolError) -> [JSONValue.Member] {
    if case .object(let members) = error.json { members } else { [] }
  }

  private func run(
    _ operation: ShellRequest.Operation
  ) async throws(StoreError) -> [JSONValue.Member] {
    switch operation {
    case .put(let key, let value, .always, let expiry, let durability):
      return [
        Self.sequence(
          try await store.put(key, value, expiry: expiry, durability: durability))
      ]
    case .put(let key, let value, let condition, let expiry, let durability):
      return Self.members(
        try await store.put(
          key, value, condition: condition, expiry: expiry, durability: durability))
    case .delete(let key, .always, let durability):
      return (try await store.delete(key, durability: durability)).map { [Self.sequence($0)] }
        ?? []
    case .delete(let key, let condition, let durability):
      return Self.members(
        try await store.delete(key, condition: condition, durability: durability))
    case .get(let key, let asBase64):
      guard let found = try await store.get(key) else { return [.init("found", false)] }
      return [
        .init("found", true),
        JSONBytes.member("value", found.value, alwaysBase64: asBase64),
        Self.sequence(found.sequence),
      ] + TimeToLive.member(of: found)
    case .multiGet(let keys, let asBase64):
      return [Self.values(try await store.multiGet(keys), asBase64: asBase64)]
    case .batch(let batch, let isConditional, let durability):
      switch try await store.write(batch, durability: durability) {
      case .applied(let last):
        return (isConditional ? [.init("applied", true)] : []) + [Self.sequence(last)]
      case .refused(let index):
        return [.init("applied", false), .init("failed", .count(index))]
      }
    case .sync: try await store.sync()
    case .checkpoint: try await store.checkpoint()
    case .compact: try await store.compact()
    case .close: try await store.close()
    case .stat:
      let health = JSONValue.Member("health", .string(store.health.rawValue))
      return [.init("stat", Description.json(store.statistics).adding([health]))]
    }
    return []
  }

  private static func sequence(_ sequence: UInt64) -> JSONValue.Member {
    .init("seq", .count(sequence))
  }

  private static func members(_ outcome: WriteOutcome) -> [JSONValue.Member] {
    switch outcome {
    case .applied(let sequence): [.init("applied", true), Self.sequence(sequence)]
    case .refused(let current):
      [.init("applied", false)] + (current.map { [Self.sequence($0)] } ?? [])
    }
  }

  /// All values as text, or, where one is not UTF-8, all as base64.
  private static func values(_ found: [VersionedValue?], asBase64: Bool) -> JSONValue.Member {
    let texts = found.map { $0.map { String(validating: $0.value, as: UTF8.self) } }
    let isText = !asBase64 && !texts.contains { $0 == .some(nil) }
    return JSONValue.Member(
      isText ? "values" : "valuesB64",
      .array(
        found.map { found in
          guard let found else { return .null }
          return isText
            ? .string(String(decoding: found.value, as: UTF8.self))
            : .string(Base64.encode(found.value))
        }))
  }
}
