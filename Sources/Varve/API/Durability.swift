/// What a write has survived when its call returns. At every level the write is visible to readers
/// as soon as it is queued, so a value may be read before it is durable.
public enum Durability: String, Hashable, Sendable, CaseIterable, Comparable {
  /// The record is in the write buffer: nothing is promised, a kill may lose it.
  case buffered
  /// The device has completed the write: it survives SIGKILL and a crash of the process, not a
  /// power loss.
  case written
  /// A flush that was submitted after the write completed has succeeded: it survives power loss.
  case durable

  /// Orders levels by what they promise.
  public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

  @usableFromInline var rank: Int {
    switch self {
    case .buffered: 0
    case .written: 1
    case .durable: 2
    }
  }
}
