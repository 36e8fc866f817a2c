/// How many Linux AIO requests the system allows, and how many are taken: a context reserves as
/// many as it may have in flight, whether it uses them or not.
public struct AIOHeadroom: Hashable, Sendable {
  /// The requests reserved by all processes (fs.aio-nr).
  public var usedCount: UInt64
  /// The requests that may be reserved (fs.aio-max-nr).
  public var maximumCount: UInt64

  /// Pairs the two numbers.
  public init(usedCount: UInt64, maximumCount: UInt64) {
    self.usedCount = usedCount
    self.maximumCount = maximumCount
  }

  /// What can still be reserved.
  public var freeCount: UInt64 { maximumCount > usedCount ? maximumCount - usedCount : 0 }

  /// What the kernel says now; nil where it has no Linux AIO or hides the numbers.
  public static func current() -> AIOHeadroom? {
    guard let used = UInt64(KernelText.read("/proc/sys/fs/aio-nr")),
      let maximum = UInt64(KernelText.read("/proc/sys/fs/aio-max-nr"))
    else { return nil }
    return AIOHeadroom(usedCount: used, maximumCount: maximum)
  }
}
