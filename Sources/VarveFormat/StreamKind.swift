/// The streams of the log: the user's writes, records that compaction moved (by age), checkpoints.
public enum StreamKind: UInt8, Hashable, Sendable, CaseIterable {
  /// The user's writes, in sequence order.
  case user = 0
  /// Relocated records of the youngest age class.
  case relocation0 = 1
  /// Relocated records of the second age class.
  case relocation1 = 2
  /// Relocated records of the third age class.
  case relocation2 = 3
  /// Relocated records of the oldest age class.
  case relocation3 = 4
  /// Index checkpoints.
  case checkpoint = 8

  /// The streams of relocated records, youngest first.
  public static let relocations: [StreamKind] = [
    .relocation0, .relocation1, .relocation2, .relocation3,
  ]

  /// Whether compaction writes it.
  public var isRelocation: Bool { self != .user && self != .checkpoint }
}
