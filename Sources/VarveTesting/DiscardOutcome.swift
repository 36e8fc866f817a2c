/// What becomes of a range that a `SimulatedDevice` is told to discard. Until a flush, a power loss
/// may leave any of its sectors as they were, or as zeros.
public enum DiscardOutcome: Hashable, Sendable {
  /// It reads as zeros.
  case zeros
  /// It reads as before.
  case oldContent
  /// Some sectors, which the seed of the plan of faults chooses, read as zeros, others as before.
  case mixture
  /// The device refuses with this error number.
  case failure(errorNumber: Int32)
}
