/// A value and the sequence number of the write that set it.
public struct VersionedValue: Hashable, Sendable {
  /// The bytes.
  public let value: [UInt8]
  /// The sequence number, for `ifSequence`.
  public let sequence: UInt64

  /// The value as text, or nil where it is not UTF-8.
  public var text: String? { String(validating: value, as: UTF8.self) }

  /// Pairs a value with its sequence number.
  public init(value: [UInt8], sequence: UInt64) {
    self.value = value
    self.sequence = sequence
  }
}

/// A live record, as iteration meets it.
public struct Record: Hashable, Sendable {
  /// The key.
  public let key: [UInt8]
  /// The value.
  public let value: [UInt8]
  /// The sequence number of the write.
  public let sequence: UInt64

  /// Makes a record.
  public init(key: [UInt8], value: [UInt8], sequence: UInt64) {
    self.key = key
    self.value = value
    self.sequence = sequence
  }
}
