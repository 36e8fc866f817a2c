#if canImport(Glibc)
  import Glibc
#endif

/// What the store takes from the world besides its device: time and randomness. Tests pass their
/// own, so that a run can be repeated.
public struct StoreEnvironment: Sendable {
  /// The wall clock, in milliseconds since 1970. Orders nothing; the TTL clock of an
  /// open begins with it.
  public var wallMilliseconds: @Sendable () -> UInt64
  /// A clock that never goes back, in nanoseconds: the TTL clock of an open goes by it.
  public var monotonicNanoseconds: @Sendable () -> UInt64
  /// Suspends for about that long.
  public var sleep: @Sendable (_ nanoseconds: UInt64) async -> Void
  /// 64 random bits, for identities and hash keys.
  public var randomWord: @Sendable () -> UInt64

  /// The real world.
  public init() {
    wallMilliseconds = { StoreEnvironment.read(CLOCK_REALTIME) / 1_000_000 }
    monotonicNanoseconds = { StoreEnvironment.read(CLOCK_MONOTONIC) }
    sleep = { nanoseconds in try? await Task.sleep(nanoseconds: nanoseconds) }
    randomWord = {
      var generator = SystemRandomNumberGenerator()
      return generator.next()
    }
  }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var now = timespec()
    // SAFETY: clock_gettime writes one timespec.
    unsafe clock_gettime(clock, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}
