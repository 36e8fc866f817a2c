/// What the store can do right now. Where several conditions hold, the gravest is told.
/// <doc:Operating> says what to do about each.
public enum StoreHealth: String, Hashable, Sendable {
  /// Everything.
  case healthy
  /// Reads and deletes; puts fail with `full` until space returns.
  case full
  /// Damage was found: the keys concerned fail with `corrupt` or `suspect`, all others work. Stays
  /// until the store is opened again.
  case degraded
  /// Reads only, until the store is opened again: a flush failed.
  case poisoned

  /// The health as metrics have it: 0 healthy, 1 full, 2 degraded, 3 poisoned.
  public var level: Int {
    switch self {
    case .healthy: 0
    case .full: 1
    case .degraded: 2
    case .poisoned: 3
    }
  }
}

/// Something that happened to the store and that an operator may want to know.
public enum StoreEvent: Hashable, Sendable {
  /// The store was opened: the first event of each sequence.
  case opened(RecoveryReport)
  /// The health changed.
  case healthChanged(StoreHealth)
  /// A page that was read is damaged, at this byte of the device.
  case corruptionFound(byteOffset: UInt64)
  /// Writes to a segment failed; the records were written elsewhere, and nothing was lost.
  case segmentRetired(segment: Int)
  /// A checkpoint was completed.
  case checkpointCompleted(entryCount: Int)
  /// A request to the device has been in flight for more than 5 seconds; so many have since the
  /// store was opened. Only for stores opened by path.
  case slowIO(count: Int)
}
