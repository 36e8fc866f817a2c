/// What the store can do right now.
public enum StoreHealth: String, Hashable, Sendable {
  /// Everything.
  case healthy
  /// Reads and deletes; puts fail with `full` until space returns.
  case full
  /// Damage was found: the keys concerned fail with `corrupt` or `suspect`.
  case degraded
  /// Reads only, until the store is opened again: a flush failed.
  case poisoned
}

/// Something that happened to the store and that an operator may want to know.
public enum StoreEvent: Hashable, Sendable {
  /// The store was opened.
  case opened(RecoveryReport)
  /// The health changed.
  case healthChanged(StoreHealth)
  /// A page that was read is damaged, at this byte of the device.
  case corruptionFound(byteOffset: UInt64)
  /// Writes to a place failed; the records were written elsewhere.
  case segmentRetired(segment: Int)
  /// A checkpoint was completed.
  case checkpointCompleted(entryCount: Int)
  /// Requests to the device have been waiting for more than 5 seconds.
  case slowIO(count: Int)
}
