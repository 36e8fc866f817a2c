/// A value, the sequence number of the write that set it, and how long it has left.
public struct VersionedValue: Hashable, Sendable {
  /// The bytes.
  public let value: [UInt8]
  /// The sequence number, for `ifSequence`.
  public let sequence: UInt64

  /// What was left until the value expired when it was read, always more than zero; nil where it
  /// does not expire.
  public let timeToLive: Duration?

  /// The value as text, or nil where it is not UTF-8.
  public var text: String? { String(validating: value, as: UTF8.self) }

  /// Pairs a value with its sequence number.
  public init(value: [UInt8], sequence: UInt64, timeToLive: Duration? = nil) {
    self.value = value
    self.sequence = sequence
    self.timeToLive = timeToLive
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
  /// When it expires, by the store's clock, in milliseconds since 1970; nil where it does not.
  public let expiryMilliseconds: UInt64?

  /// Makes a record.
  public init(
    key: [UInt8], value: [UInt8], sequence: UInt64, expiryMilliseconds: UInt64? = nil
  ) {
    self.key = key
    self.value = value
    self.sequence = sequence
    self.expiryMilliseconds = expiryMilliseconds
  }
}
