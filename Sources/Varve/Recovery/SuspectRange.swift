import VarveFormat

/// Damage of unknown extent: what may have been lost below a sequence number.
struct SuspectRange: Hashable {
  /// A key whose newest surviving record is below this may have had a newer one.
  var ceiling: SequenceNumber
}
