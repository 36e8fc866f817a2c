import Console
import Varve

/// A request of the shell, parsed: or why it is none.
struct ShellRequest: Sendable {
  /// What is asked.
  enum Operation: Sendable {
    case put(
      key: [UInt8], value: [UInt8], condition: WriteCondition, expiry: Expiry,
      durability: Durability)
    case delete(key: [UInt8], condition: WriteCondition, durability: Durability)
    case get(key: [UInt8], asBase64: Bool)
    case multiGet(keys: [[UInt8]], asBase64: Bool)
    case batch(Batch, isConditional: Bool, durability: Durability)
    case sync
    case checkpoint
    case compact
    case stat
    case close
  }

  /// Echoed in the answer.
  let id: JSONValue?
  /// What is asked, or why the line is refused.
  let operation: Result<Operation, ToolError>

  /// Whether the answer is the last.
  var closesStore: Bool {
    if case .success(.close) = operation { true } else { false }
  }

  init(_ line: LineReader.Line) {
    do throws(ToolError) {
      self.init(try Self.object(line))
    } catch {
      self.init(refused: error)
    }
  }

  private init(refused error: ToolError) {
    id = nil
    operation = .failure(error)
  }

  private static func object(_ line: LineReader.Line) throws(ToolError) -> JSONValue {
    guard case .bytes(let bytes) = line else {
      throw .usage("the line is longer than \(ByteSize(UInt64(LineReader.maximumByteCount)))")
    }
    do throws(JSONParseError) {
      return try JSONParser.parse(bytes)
    } catch {
      throw .usage("not a line of JSON: \(error)")
    }
  }

  init(_ object: JSONValue) {
    id = object["id"]
    do throws(ToolError) {
      operation = .success(try Self.operation(object))
    } catch {
      operation = .failure(error)
    }
  }

  private static func operation(_ object: JSONValue) throws(ToolError) -> Operation {
    guard let operation = object["op"] else { throw .usage("no \"op\"") }
    guard let name = operation.text else { throw .usage("\"op\" must be a string") }
    let writing: Set = ["durability", "ifAbsent", "ifSeq"]
    switch name {
    case "put":
      try allow(writing.union(["key", "keyB64", "value", "valueB64", "ttl"]), in: object)
      return .put(
        key: try key(object), value: try value(object), condition: try condition(object),
        expiry: try TimeToLive.expiry(in: object) ?? .never, durability: try durability(object))
    case "del":
      try allow(writing.union(["key", "keyB64"]), in: object)
      return .delete(
        key: try key(object), condition: try condition(object), durability: try durability(object))
    case "get":
      try allow(["key", "keyB64", "b64"], in: object)
      return .get(key: try key(object), asBase64: try flag("b64", object))
    case "mget":
      try allow(["keys", "keysB64", "b64"], in: object)
      return .multiGet(keys: try keys(object), asBase64: try flag("b64", object))
    case "batch":
      try allow(["ops", "durability"], in: object)
      return try batch(object)
    default:
      guard let operation = bareOperations[name] else {
        throw .usage("this version has no operation \"\(name)\"")
      }
      try allow([], in: object)
      return operation
    }
  }

  /// Operations that take nothing.
  private static let bareOperations: [String: Operation] = [
    "sync": .sync, "checkpoint": .checkpoint, "compact": .compact, "stat": .stat, "close": .close,
  ]

  /// Refuses members that mean nothing, a misspelt durability must not pass for the default, and
  /// those that stand there twice, of which only one could be meant.
  private static func allow(_ names: Set<String>, in object: JSONValue) throws(ToolError) {
    guard case .object(let members) = object else { throw .usage("not an object") }
    for member in members where !names.contains(member.name) {
      guard ["op", "id"].contains(member.name) else {
        throw .usage("this version knows no \"\(member.name)\" here")
      }
    }
    if let name = object.repeatedName { throw .usage("\"\(name)\" stands there twice") }
  }

  private static func key(_ object: JSONValue) throws(ToolError) -> [UInt8] {
    guard let key = try JSONBytes.bytes("key", in: object) else { throw .usage("no \"key\"") }
    return key
  }

  private static func value(_ object: JSONValue) throws(ToolError) -> [UInt8] {
    guard let value = try JSONBytes.bytes("value", in: object) else {
      throw .usage("no \"value\"")
    }
    return value
  }

  private static func keys(_ object: JSONValue) throws(ToolError) -> [[UInt8]] {
    guard (object["keys"] == nil) != (object["keysB64"] == nil) else {
      throw .usage("either \"keys\" or \"keysB64\"")
    }
    let isBase64 = object["keysB64"] != nil
    let wanted =
      isBase64
      ? "\"keysB64\" must be an array of strings of base64" : "\"keys\" must be an array of strings"
    guard let elements = object[isBase64 ? "keysB64" : "keys"]?.elements else {
      throw .usage(wanted)
    }
    var keys: [[UInt8]] = []
    for element in elements {
      guard let text = element.text, let key = isBase64 ? Base64.decode(text) : Array(text.utf8)
      else { throw .usage(wanted) }
      keys.append(key)
    }
    return keys
  }

  private static func flag(_ name: String, _ object: JSONValue) throws(ToolError) -> Bool {
    guard let value = object[name] else { return false }
    guard let flag = value.bool else { throw .usage("\"\(name)\" must be true or false") }
    return flag
  }

  private static func durability(_ object: JSONValue) throws(ToolError) -> Durability {
    guard let value = object["durability"] else { return .durable }
    guard let level = value.text.flatMap(Durability.init(rawValue:)) else {
      throw .usage("\"durability\" must be buffered, written or durable")
    }
    return level
  }

  private static func condition(_ object: JSONValue) throws(ToolError) -> WriteCondition {
    let ifAbsent = try flag("ifAbsent", object)
    guard let value = object["ifSeq"] else { return ifAbsent ? .ifAbsent : .always }
    guard !ifAbsent else { throw .usage("\"ifAbsent\" and \"ifSeq\" exclude each other") }
    guard let sequence = value.integer.flatMap({ UInt64(exactly: $0) }) else {
      throw .usage("\"ifSeq\" must be a sequence number")
    }
    return .ifSequence(sequence)
  }

  private static func batch(_ object: JSONValue) throws(ToolError) -> Operation {
    guard let operations = object["ops"]?.elements else {
      throw .usage("\"ops\" must be an array")
    }
    var batch = Batch()
    var isConditional = false
    for operation in operations {
      let condition = try condition(operation)
      isConditional = isConditional || condition != .always
      switch operation["op"]?.text {
      case "put":
        try allow(
          ["key", "keyB64", "value", "valueB64", "ttl", "ifAbsent", "ifSeq"], in: operation)
        batch.put(
          try key(operation), try value(operation), condition: condition,
          expiry: try TimeToLive.expiry(in: operation) ?? .never)
      case "del":
        try allow(["key", "keyB64", "ifAbsent", "ifSeq"], in: operation)
        batch.delete(try key(operation), condition: condition)
      default: throw .usage("an operation of a batch must be put or del")
      }
    }
    return .batch(batch, isConditional: isConditional, durability: try durability(object))
  }
}
