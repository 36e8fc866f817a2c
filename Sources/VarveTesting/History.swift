/// Bytes and the place where they landed, or would land, on the medium.
public struct Landing: Hashable, Sendable {
  /// Where, in bytes from the start of the device.
  public let byteOffset: UInt64
  /// What; whole sectors.
  public let bytes: [UInt8]

  package init(byteOffset: UInt64, bytes: [UInt8]) {
    self.byteOffset = byteOffset
    self.bytes = bytes
  }

  package var range: Range<UInt64> { byteOffset..<byteOffset + UInt64(bytes.count) }

  package func part(_ range: Range<Int>) -> Landing {
    Landing(byteOffset: byteOffset + UInt64(range.lowerBound), bytes: Array(bytes[range]))
  }
}

/// One thing that happened at a `SimulatedDevice`. A request has a ticket, unique in its history,
/// given when it was submitted; the order of the events is the order in which they happened.
public enum HistoryEvent: Hashable, Sendable {
  /// A write was submitted; from now on any of its sectors may be on the medium.
  case writeSubmitted(ticket: UInt64, landing: Landing, isDurable: Bool)
  /// A write ended and its completion is about to be delivered: what landed, which differs from
  /// what was asked where a fault says so, and 0 or the error that is reported.
  case writeCompleted(ticket: UInt64, landings: [Landing], errorNumber: Int32)
  /// A flush was submitted: it covers the writes whose completion was delivered before.
  case flushSubmitted(ticket: UInt64)
  /// A flush ended. With `losesData`, what it covered will never be durable.
  case flushCompleted(ticket: UInt64, errorNumber: Int32, losesData: Bool)
  /// A read ended.
  case readCompleted(byteOffset: UInt64, byteCount: Int, errorNumber: Int32)
  /// The medium itself changed: rot.
  case rotted(Landing)
}

/// What a `SimulatedDevice` held at first, and all that happened at it since: enough to say what
/// any crash may leave behind.
public struct History: Sendable {
  /// The events in their order.
  public let events: [HistoryEvent]
  /// The content before the first event, all of it durable.
  package let initial: SparseImage

  package init(initial: SparseImage, events: [HistoryEvent]) {
    self.initial = initial
    self.events = events
  }
}
