/// What a store uses beyond the first version of the format, in three words, as file systems do:
/// an unknown compatible bit is ignored, an unknown read-only-compatible bit forbids writing, an
/// unknown incompatible bit forbids opening.
public struct FeatureFlags: Hashable, Sendable {
  /// Bits that an older library may ignore.
  public var compatible: UInt64
  /// Bits that an older library may ignore as long as it does not write.
  public var readOnlyCompatible: UInt64
  /// Bits without which the store cannot be understood.
  public var incompatible: UInt64

  /// Makes a set of flags.
  public init(compatible: UInt64 = 0, readOnlyCompatible: UInt64 = 0, incompatible: UInt64 = 0) {
    self.compatible = compatible
    self.readOnlyCompatible = readOnlyCompatible
    self.incompatible = incompatible
  }

  /// What a library may do with a store.
  public enum Verdict: Hashable, Sendable {
    /// Open it for everything.
    case readWrite
    /// Open it, but write nothing.
    case readOnly
    /// Refuse it.
    case refuse
  }

  /// The verdict of this version of the library, which knows no feature bits yet.
  public var verdict: Verdict {
    if incompatible != 0 { return .refuse }
    return readOnlyCompatible != 0 ? .readOnly : .readWrite
  }
}
