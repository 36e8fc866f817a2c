import Console
import Foundation

/// One store, some clients, and kills.
struct KillRun {
  typealias Breach = ClientModel.Breach

  /// Bytes of requests and of expected answers under way: within a pipe's capacity, so that neither
  /// side waits for the other to read.
  private static let maximumByteCount = 48 << 10
  private static let window = 16

  private let store: String
  private var generator: Workload.Generator
  private var workloads: [Workload]
  private var models: [ClientModel]
  private(set) var acknowledgedCount = 0

  init(store: String, seed: UInt64, clientCount: Int) {
    self.store = store
    generator = Workload.Generator(seed: seed)
    workloads = (0..<clientCount).map {
      Workload(seed: seed &+ UInt64($0) &* 1_000_003, client: $0, keyCount: 48 / clientCount + 4)
    }
    models = workloads.map { _ in ClientModel() }
  }

  /// Opens, works, kills, and compares what is found then.
  mutating func cycle() throws {
    let arguments =
      ["shell", store, "--json"] + (models.count > 1 ? ["--concurrency", "\(models.count)"] : [])
    let shell = try ToolProcess("kvctl", arguments)
    // One cycle in eight kills while the store is being opened: nothing is asked, nothing changes.
    if Int.random(in: 0..<8, using: &generator) == 0 {
      usleep(UInt32.random(in: 0..<40_000, using: &generator))
    } else {
      try work(with: shell)
    }
    shell.sendSIGKILL()
    while let line = shell.line() { try take(line) }
    _ = shell.end()
    try compare()
  }

  private struct Flight {
    let client: Int
    let number: Int
    let byteCount: Int
  }

  private var flights: [Int: Flight] = [:]
  private var requestCount = 0

  private mutating func work(with shell: ToolProcess) throws {
    flights = [:]
    guard let opening = shell.line(), try JSONParser.parse(opening)["ok"] == true else {
      throw Breach(description: "the store does not open: \(shell.end().errors)")
    }
    let answersBeforeKill = Int.random(in: 1...160, using: &generator)
    var answerCount = 0
    while answerCount < answersBeforeKill {
      while let client = nextClient() {
        let operation = workloads[client].next(sequences: models[client].sequences)
        let number = models[client].send(operation)
        requestCount += 1
        let line = operation.request(id: requestCount).encoded + [10]
        flights[requestCount] = Flight(
          client: client, number: number, byteCount: line.count + 15_000)
        guard shell.send(line) else { throw Breach(description: "the shell is gone") }
      }
      guard let line = shell.line() else {
        throw Breach(description: "the shell ended: \(shell.end().errors)")
      }
      try take(line)
      answerCount += 1
    }
    // Some more requests, so that the kill meets work under way.
    while let client = nextClient() {
      let operation = workloads[client].next(sequences: models[client].sequences)
      let number = models[client].send(operation)
      requestCount += 1
      let line = operation.request(id: requestCount).encoded + [10]
      flights[requestCount] = Flight(
        client: client, number: number, byteCount: line.count + 15_000)
      guard shell.send(line) else { return }
    }
    if Bool.random(using: &generator) {
      usleep(UInt32.random(in: 0..<3000, using: &generator))
    }
  }

  /// A client that may send: the only one while its window has room, or one without a request under
  /// way.
  private mutating func nextClient() -> Int? {
    let byteCount = flights.values.reduce(0) { $0 + $1.byteCount }
    guard byteCount < Self.maximumByteCount || flights.isEmpty else { return nil }
    if models.count == 1 { return flights.count < Self.window ? 0 : nil }
    let busy = Set(flights.values.map(\.client))
    return models.indices.filter { !busy.contains($0) }.randomElement(using: &generator)
  }

  private mutating func take(_ line: [UInt8]) throws {
    let answer = try JSONParser.parse(line)
    guard answer["event"] == nil else { return }
    guard let id = answer["id"]?.integer, let flight = flights.removeValue(forKey: Int(id)) else {
      throw Breach(description: "an answer to nothing: \(String(decoding: line, as: UTF8.self))")
    }
    acknowledgedCount += 1
    try models[flight.client].take(answer, number: flight.number)
  }

  /// What `dump` shows, per client: it opens for reading only, so the next open recovers again and
  /// is held to the same.
  private func look() throws -> [ClientModel.State] {
    let dump = try ToolProcess.kvctl("dump", store, "-q")
    guard dump.status == 0 else { throw Breach(description: "dump: \(dump.errors)") }
    var states = models.map { _ in ClientModel.State() }
    for line in dump.text.split(separator: "\n") {
      let record = try JSONParser.parse(Array(line.utf8))
      guard let key = record["keyB64"]?.text.flatMap(Base64.decode),
        let value = record["valueB64"]?.text.flatMap(Base64.decode)
      else { throw Breach(description: "dump: no record: \(line)") }
      let name = String(decoding: key, as: UTF8.self)
      guard let client = Int(name.dropFirst("client-".count).prefix { $0 != "/" }),
        states.indices.contains(client)
      else { throw Breach(description: "an invented key: \(name)") }
      let version = ClientModel.Version(
        value: String(decoding: value, as: UTF8.self), sequence: record["seq"]?.integer)
      guard states[client].updateValue(version, forKey: name) == nil else {
        throw Breach(description: "\(name) came twice")
      }
    }
    return states
  }

  private mutating func compare() throws {
    let found = try look()
    // Bounds of the one point at which the log was cut: what surely is there, what surely is not.
    var lowest: Int64 = 0
    var highest = Int64.max
    for (client, model) in models.enumerated() {
      let counts = model.matches(found[client])
      guard let fewest = counts.first, let most = counts.last else {
        throw Breach(description: difference(client, found[client]))
      }
      lowest = max(lowest, model.entries[..<fewest].compactMap(\.sequence).max() ?? 0)
      highest = min(highest, model.entries[most...].compactMap(\.sequence).min() ?? .max)
    }
    guard lowest < highest else {
      throw Breach(description: "a hole: sequence \(lowest) is there, \(highest) is lost")
    }
    for client in models.indices { models[client].rebase(to: found[client]) }
    flights = [:]
  }

  private func difference(_ client: Int, _ found: ClientModel.State) -> String {
    let model = models[client]
    let safe = model.permitted().first?.state ?? [:]
    let keys = Set(safe.keys).union(found.keys).sorted()
    let lines = keys.filter { safe[$0]?.value != found[$0]?.value }.map { key in
      let wanted = safe[key].map { "\($0.value.prefix(40)) @\($0.sequence ?? -1)" } ?? "nothing"
      let has = found[key].map { "\($0.value.prefix(40)) @\($0.sequence ?? -1)" } ?? "nothing"
      return "  \(key): at least \(wanted), found \(has)"
    }
    return "client \(client): no prefix of \(model.entries.count) operations (of which "
      + "\(model.safeCount) must survive) explains what was found:\n"
      + lines.joined(separator: "\n")
  }
}
