import Console
import DeviceLoad

/// Measurements of the I/O layer beside those of its peer, with medians and spread over the rounds.
struct IOTable {
  /// What was measured, and how.
  struct Key: Hashable {
    let kind: LoadKind
    let depth: Int
    let engine: String
    let place: String
  }

  private struct Row {
    var own: [IOFigures] = []
    var peer: [IOFigures] = []
    var goalCPUMicroseconds: Double
    var ratios: [Double] { zip(own, peer).map { $0.rate / $1.rate } }
  }

  /// The share of the peer's rate that is aimed at.
  private static let goalRatio = 0.95

  private var keys: [Key] = []
  private var rows: [Key: Row] = [:]

  mutating func add(
    _ key: Key, _ figures: IOFigures, peer: IOFigures, goalCPUMicroseconds: Double
  ) {
    if rows[key] == nil { keys.append(key) }
    rows[key, default: Row(goalCPUMicroseconds: goalCPUMicroseconds)].own.append(figures)
    rows[key]?.peer.append(peer)
  }

  // MARK: For programs

  var json: JSONValue {
    .array(keys.compactMap { key in rows[key].map { Self.json(key, $0) } })
  }

  private static func json(_ key: Key, _ row: Row) -> JSONValue {
    func spread(_ figure: KeyPath<IOFigures, Double>) -> (JSONValue, JSONValue) {
      (
        Spread(row.own.map { $0[keyPath: figure] }).json,
        Spread(row.peer.map { $0[keyPath: figure] }).json
      )
    }
    let (rate, peerRate) = spread(\.rate)
    let (cpu, peerCPU) = spread(\.cpuMicroseconds)
    let (p50, peerP50) = spread(\.p50Microseconds)
    let (p99, peerP99) = spread(\.p99Microseconds)
    return [
      "operation": .string(key.kind.rawValue), "requestBytes": .count(key.kind.byteCount),
      "depth": .count(key.depth), "engine": .string(key.engine), "executor": .string(key.place),
      "requestsPerSecond": rate, "peerRequestsPerSecond": peerRate,
      "ratio": Spread(row.ratios).json, "goalRatio": .number(goalRatio),
      "cpuMicroseconds": cpu, "peerCpuMicroseconds": peerCPU,
      "goalCpuMicroseconds": key.kind.isSequential ? .null : .number(row.goalCPUMicroseconds),
      "p50Microseconds": p50, "peerP50Microseconds": peerP50,
      "p99Microseconds": p99, "peerP99Microseconds": peerP99,
    ]
  }

  // MARK: For people

  /// A line for each measurement, the peer's figures beside; what misses a goal is marked.
  func text(peer: String) -> String {
    let heading = [
      "", "depth", "engine", "executor", "a second", peer, "ratio", "from", "to", "CPU µs", "peer",
      "p50 µs", "peer", "p99 µs", "peer",
    ]
    let lines = keys.compactMap { key in rows[key].map { Self.cells(key, $0) } }
    let goals = Set(rows.values.map(\.goalCPUMicroseconds)).sorted().map { ResultTable.number($0) }
    return TextTable.text([heading] + lines, leftColumns: [0, 2, 3])
      + "\ngoals: ratio at least \(Self.goalRatio), CPU of a random read at most "
      + goals.joined(separator: " or ") + " µs; ! where missed"
  }

  private static func cells(_ key: Key, _ row: Row) -> [String] {
    func pair(_ figure: KeyPath<IOFigures, Double>) -> [String] {
      [row.own, row.peer].map { figures in
        ResultTable.number(Spread(figures.map { $0[keyPath: figure] }).median)
      }
    }
    let ratio = Spread(row.ratios)
    let cpu = Spread(row.own.map(\.cpuMicroseconds)).median
    let isDear = !key.kind.isSequential && cpu > row.goalCPUMicroseconds
    let costs = pair(\.cpuMicroseconds)
    return [
      key.kind.rawValue, "\(key.depth)", key.engine, key.place,
    ] + pair(\.rate) + [
      ResultTable.number(ratio.median) + (ratio.median < goalRatio ? "!" : ""),
      ResultTable.number(ratio.minimum), ResultTable.number(ratio.maximum),
      costs[0] + (isDear ? "!" : ""), costs[1],
    ] + pair(\.p50Microseconds) + pair(\.p99Microseconds)
  }
}
