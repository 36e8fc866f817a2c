/// When a conditional write takes effect.
public enum WriteCondition: Hashable, Sendable {
  /// Always.
  case always
  /// Only if the key has no value.
  case ifAbsent
  /// Only if the key's current sequence number is this one.
  case ifSequence(UInt64)
}

/// What became of a conditional write.
public enum WriteOutcome: Hashable, Sendable {
  /// It took effect and has this sequence number.
  case applied(sequence: UInt64)
  /// The condition did not hold: the key's current sequence number, or nil where it has no value.
  /// What stands in the way has reached the durability that the write asked for.
  case refused(currentSequence: UInt64?)

  /// Whether the write took effect.
  public var isApplied: Bool {
    if case .applied = self { return true }
    return false
  }
}

/// What became of a batch with conditions.
public enum BatchOutcome: Hashable, Sendable {
  /// All of it took effect; the last operation has this sequence number.
  case applied(lastSequence: UInt64)
  /// Nothing of it took effect, because the condition of this operation did not hold.
  case refused(operationIndex: Int)

  /// Whether the batch took effect.
  public var isApplied: Bool {
    if case .applied = self { return true }
    return false
  }
}
