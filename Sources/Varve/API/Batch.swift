import VarveFormat

/// Writes that take effect together or not at all, also across a crash. Operations apply in the
/// order they were added; conditions are judged against the state before the batch, and an expiry
/// that is kept is the one that the key had then. Expiries that are out of bounds fail when the
/// batch is written.
///
/// Bounds: 65,536 operations, and 8 MiB or half a segment of keys and values, whichever is less.
public struct Batch: Sendable {
  struct Operation: Sendable {
    var key: [UInt8]
    /// nil deletes.
    var value: [UInt8]?
    var condition: WriteCondition
    /// Of a put.
    var expiry: Expiry
  }

  var operations: [Operation] = []

  /// Begins an empty batch.
  public init() {}

  /// Operations added so far.
  public var count: Int { operations.count }

  /// Whether nothing has been added.
  public var isEmpty: Bool { operations.isEmpty }

  /// Adds a put: the key is borrowed bytes, the value borrowed bytes. The bytes are copied.
  public mutating func put(
    _ key: RawSpan, _ value: RawSpan, condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append(key.copied(), value.copied(), condition, expiry)
  }

  /// Adds a put: the key is borrowed bytes, the value an array. The bytes are copied.
  public mutating func put(
    _ key: RawSpan, _ value: [UInt8], condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append(key.copied(), value, condition, expiry)
  }

  /// Adds a put: the key is borrowed bytes, the value text. The bytes are copied.
  public mutating func put(
    _ key: RawSpan, _ value: String, condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append(key.copied(), [UInt8](value.utf8), condition, expiry)
  }

  /// Adds a put: the key is an array, the value borrowed bytes. The bytes are copied.
  public mutating func put(
    _ key: [UInt8], _ value: RawSpan, condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append(key, value.copied(), condition, expiry)
  }

  /// Adds a put: the key is an array, the value an array.
  public mutating func put(
    _ key: [UInt8], _ value: [UInt8], condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append(key, value, condition, expiry)
  }

  /// Adds a put: the key is an array, the value text.
  public mutating func put(
    _ key: [UInt8], _ value: String, condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append(key, [UInt8](value.utf8), condition, expiry)
  }

  /// Adds a put: the key is text, the value borrowed bytes. The bytes are copied.
  public mutating func put(
    _ key: String, _ value: RawSpan, condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append([UInt8](key.utf8), value.copied(), condition, expiry)
  }

  /// Adds a put: the key is text, the value an array.
  public mutating func put(
    _ key: String, _ value: [UInt8], condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append([UInt8](key.utf8), value, condition, expiry)
  }

  /// Adds a put: the key is text, the value text.
  public mutating func put(
    _ key: String, _ value: String, condition: WriteCondition = .always, expiry: Expiry = .never
  ) {
    append([UInt8](key.utf8), [UInt8](value.utf8), condition, expiry)
  }

  /// Adds a delete: the key is borrowed bytes. The bytes are copied. Unlike
  /// `Store.delete(_:durability:)` it writes a tombstone even where the key has no value.
  public mutating func delete(_ key: RawSpan, condition: WriteCondition = .always) {
    append(key.copied(), nil, condition)
  }

  /// Adds a delete: the key is an array. Unlike `Store.delete(_:durability:)` it writes a
  /// tombstone even where the key has no value.
  public mutating func delete(_ key: [UInt8], condition: WriteCondition = .always) {
    append(key, nil, condition)
  }

  /// Adds a delete: the key is text. Unlike `Store.delete(_:durability:)` it writes a
  /// tombstone even where the key has no value.
  public mutating func delete(_ key: String, condition: WriteCondition = .always) {
    append([UInt8](key.utf8), nil, condition)
  }

  private mutating func append(
    _ key: [UInt8], _ value: [UInt8]?, _ condition: WriteCondition, _ expiry: Expiry = .never
  ) {
    operations.append(Operation(key: key, value: value, condition: condition, expiry: expiry))
  }
}
