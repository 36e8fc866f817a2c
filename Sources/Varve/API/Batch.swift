/// Writes that take effect together or not at all, also across a crash. Operations apply in the
/// order they were added; conditions are judged against the state before the batch.
///
/// Bounds: 65,536 operations, and 8 MiB or half a segment of keys and values, whichever is less.
public struct Batch: Sendable {
  struct Operation: Sendable {
    var key: [UInt8]
    /// nil deletes.
    var value: [UInt8]?
    var condition: WriteCondition
  }

  var operations: [Operation] = []

  /// Begins an empty batch.
  public init() {}

  /// Operations added so far.
  public var count: Int { operations.count }

  /// Whether nothing has been added.
  public var isEmpty: Bool { operations.isEmpty }

  /// Adds a put.
  public mutating func put(
    _ key: [UInt8], _ value: [UInt8], condition: WriteCondition = .none
  ) {
    operations.append(Operation(key: key, value: value, condition: condition))
  }

  /// Adds a put.
  public mutating func put(_ key: String, _ value: String, condition: WriteCondition = .none) {
    put([UInt8](key.utf8), [UInt8](value.utf8), condition: condition)
  }

  /// Adds a delete.
  public mutating func delete(_ key: [UInt8], condition: WriteCondition = .none) {
    operations.append(Operation(key: key, value: nil, condition: condition))
  }

  /// Adds a delete.
  public mutating func delete(_ key: String, condition: WriteCondition = .none) {
    delete([UInt8](key.utf8), condition: condition)
  }
}
