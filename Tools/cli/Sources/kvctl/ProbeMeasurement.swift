import Console
import DeviceLoad
import Measuring
import VarveIO

/// One cell of the table: a kind of load, at a depth, on an engine.
struct ProbeMeasurement {
  /// A cell that is to be measured on every engine.
  struct Cell: Hashable {
    let kind: LoadKind
    let depth: Int
  }

  let engine: DeviceEngine
  let cell: Cell
  /// The rate of each round.
  private(set) var rates: [Double] = []
  private(set) var total = DeviceLoad.Result()

  init(engine: DeviceEngine, cell: Cell) {
    self.engine = engine
    self.cell = cell
  }

  mutating func add(_ result: DeviceLoad.Result) {
    rates.append(result.rate)
    total.add(result)
  }

  /// The requests in flight where requests follow each other: enough for full bandwidth.
  private static let sequentialDepth = 4

  /// The cells, in the order of the table.
  static func cells(of region: DataRegion, mayWrite: Bool) -> [Cell] {
    var cells: [Cell] = []
    let hasBlocks = region.blockCount >= UInt64(sequentialDepth)
    cells += [1, 8, 32, 128].map { Cell(kind: .randomRead, depth: $0) }
    if hasBlocks { cells.append(Cell(kind: .sequentialRead, depth: sequentialDepth)) }
    guard mayWrite else { return cells }
    cells += [1, 32].map { Cell(kind: .randomWrite, depth: $0) }
    if hasBlocks { cells.append(Cell(kind: .sequentialWrite, depth: sequentialDepth)) }
    return cells + [Cell(kind: .flushedWrite, depth: 1)]
  }

  /// The share of the time of a request that its submission took: near 1, nothing is asynchronous.
  /// Nil for an engine that only queues in the process.
  var submitShare: Double? {
    guard engine != .threads, total.latencies.totalNanoseconds > 0 else { return nil }
    return min(1, Double(total.submitNanoseconds) / Double(total.latencies.totalNanoseconds))
  }

  var json: JSONValue {
    [
      "engine": .string(engine.toolName), "operation": .string(cell.kind.rawValue),
      "requestBytes": .count(cell.kind.byteCount), "depth": .count(cell.depth),
      "requests": .count(total.requestCount), "seconds": .number(total.seconds),
      "requestsPerSecond": .number(total.rate.rounded()),
      "roundsRequestsPerSecond": .array(rates.map { .number($0.rounded()) }),
      "bytesPerSecond": .number((total.rate * Double(cell.kind.byteCount)).rounded()),
      "p50Nanoseconds": .count(total.latencies.nanoseconds(atPercent: 50)),
      "p99Nanoseconds": .count(total.latencies.nanoseconds(atPercent: 99)),
      "p999Nanoseconds": .count(total.latencies.nanoseconds(atPercent: 99.9)),
      "maximumNanoseconds": .count(total.latencies.maximumNanoseconds),
      "submitShare": submitShare.map { .number(Description.rounded($0)) } ?? .null,
    ]
  }
}

extension LoadKind {
  /// The kind for people.
  var title: String {
    switch self {
    case .randomRead: "random 4 KiB reads"
    case .sequentialRead: "sequential 1 MiB reads"
    case .randomWrite: "random 4 KiB writes"
    case .sequentialWrite: "sequential 1 MiB writes"
    case .flushedWrite: "4 KiB write + flush"
    }
  }
}
