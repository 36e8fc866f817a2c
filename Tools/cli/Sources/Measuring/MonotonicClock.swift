import Glibc

/// Nanoseconds for measuring, at some 25 ns a look.
public enum MonotonicClock {
  /// Nanoseconds since some moment, which never go back.
  public static func nanoseconds() -> UInt64 {
    var time = timespec()
    // SAFETY: the call fills a local variable.
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
