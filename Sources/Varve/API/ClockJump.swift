/// What an open does where the wall clock is further ahead of the store's own clock than
/// `StoreOptions.clockJumpBoundSeconds`, in a store that holds records with an expiry.
/// <doc:Expiry> tells more.
public enum ClockJump: String, Hashable, Sendable, CaseIterable {
  /// Does not believe it: the store's clock goes on from where it stood, so nothing expires by
  /// mistake. `RecoveryReport.heldClockJumpSeconds` tells.
  case hold
  /// Believes it, for good: what has expired by then is gone. Whoever has looked at the machine's
  /// clock says so once; it is no setting to leave on.
  case accept
}
