import Console

/// A stream of operations from a seed: what one client asks for, one after the other.
struct Workload {
  /// SplitMix64: the same numbers from the same seed, everywhere.
  struct Generator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
      return mixed ^ mixed >> 31
    }
  }

  /// When a step takes effect.
  enum Condition {
    case always, ifAbsent
    /// Only if the key still has the version with this sequence number.
    case ifVersion(sequence: Int64)
  }

  /// One put or delete; a batch has several.
  struct Step {
    let key: String
    /// nil deletes.
    let value: String?
    let condition: Condition
  }

  /// What is asked.
  enum Operation {
    case write([Step], isBatch: Bool, durability: String)
    case get(key: String)
    case sync, checkpoint
  }

  private static let levels = ["buffered", "written", "durable"]

  var generator: Generator
  private let keys: [String]
  private var versionCount = 0
  private let name: String

  init(seed: UInt64, client: Int, keyCount: Int) {
    generator = Generator(seed: seed)
    name = "\(client)-\(seed)"
    keys = (0..<keyCount).map { "client-\(client)/key-\($0)" }
  }

  /// The next operation. `sequences` has the sequence numbers of the keys' present versions, as far
  /// as they are known: conditions are made from them.
  mutating func next(sequences: [String: Int64]) -> Operation {
    let durability = Self.levels[Int.random(in: 0..<3, using: &generator)]
    switch Int.random(in: 0..<100, using: &generator) {
    case 0..<8: return .get(key: key())
    case 8: return .sync
    case 9: return .checkpoint
    case 10..<28:
      let count = Int.random(in: 2...6, using: &generator)
      var used: Set<String> = []
      let steps = (0..<count).compactMap { _ -> Step? in
        let step = step(sequences, conditionalPercent: 12, maximumByteCount: 3000)
        return used.insert(step.key).inserted ? step : nil
      }
      return .write(steps, isBatch: true, durability: durability)
    default:
      return .write(
        [step(sequences, conditionalPercent: 25, maximumByteCount: 14_000)], isBatch: false,
        durability: durability)
    }
  }

  private mutating func key() -> String { keys[Int.random(in: 0..<keys.count, using: &generator)] }

  private mutating func step(
    _ sequences: [String: Int64], conditionalPercent: Int, maximumByteCount: Int
  ) -> Step {
    let key = key()
    let isDelete = Int.random(in: 0..<100, using: &generator) < 20
    var condition = Condition.always
    if Int.random(in: 0..<100, using: &generator) < conditionalPercent {
      // A delete on condition of absence would have nothing to do.
      condition =
        sequences[key].map { .ifVersion(sequence: $0) } ?? (isDelete ? .always : .ifAbsent)
      if !isDelete, Bool.random(using: &generator) { condition = .ifAbsent }
    }
    return Step(key: key, value: isDelete ? nil : value(maximumByteCount), condition: condition)
  }

  /// A value that no other version has: mostly short, now and then of several pages.
  private mutating func value(_ maximumByteCount: Int) -> String {
    versionCount += 1
    var text = "\(name)-\(versionCount)-"
    let length =
      switch Int.random(in: 0..<100, using: &generator) {
      case 0..<70: Int.random(in: 0...200, using: &generator)
      case 70..<95: Int.random(in: 200...3000, using: &generator)
      default: Int.random(in: 3000...max(3000, maximumByteCount), using: &generator)
      }
    while text.utf8.count < length { text += String(generator.next(), radix: 36) }
    return text
  }
}

extension Workload.Operation {
  /// The request as the shell takes it.
  func request(id: Int) -> JSONValue {
    let id = JSONValue.Member("id", .count(id))
    switch self {
    case .get(let key): return .object([.init("op", "get"), .init("key", .string(key)), id])
    case .sync: return .object([.init("op", "sync"), id])
    case .checkpoint: return .object([.init("op", "checkpoint"), id])
    case .write(let steps, let isBatch, let durability):
      let level = JSONValue.Member("durability", .string(durability))
      let objects = steps.map(\.members)
      guard isBatch else { return .object(objects[0] + [level, id]) }
      return .object([
        .init("op", "batch"), .init("ops", .array(objects.map { .object($0) })), level, id,
      ])
    }
  }
}

extension Workload.Step {
  fileprivate var members: [JSONValue.Member] {
    var members: [JSONValue.Member] = [
      .init("op", value == nil ? "del" : "put"), .init("key", .string(key)),
    ]
    if let value { members.append(.init("value", .string(value))) }
    switch condition {
    case .always: break
    case .ifAbsent: members.append(.init("ifAbsent", true))
    case .ifVersion(let sequence): members.append(.init("ifSeq", .integer(sequence)))
    }
    return members
  }
}
