/// When a record ceases to have a value, as a put says it. <doc:Expiry> tells more.
///
/// Times are those of the store's own clock: it begins with the machine's, goes by monotonic time
/// while the store is open, and never goes back.
public enum Expiry: Hashable, Sendable {
  /// Never. An expiry that the key had before is gone.
  case never
  /// After so long, in whole milliseconds, rounded up. Zero and less are `usage` errors.
  case after(Duration)
  /// At this time of the store's clock, in milliseconds since 1970, from 1 to 2⁶². A time that is
  /// past hides the key at once, as a delete does.
  case at(milliseconds: UInt64)
  /// When the key's current record does; never where the key has no value or its record no expiry.
  case keep
}
