/// A bound of bytes per second, as a bucket that fills with time and may go below empty: what has
/// begun is completed, and the next step waits for it. Belongs to the maintenance task.
final class RateLimit {
  private let bytesPerSecond: Double
  private let environment: StoreEnvironment
  private var credit: Double
  private var lastNanoseconds: UInt64
  private let isWaiting = SharedFlag()

  init(bytesPerSecond: Int, environment: StoreEnvironment) {
    self.bytesPerSecond = Double(max(1, bytesPerSecond))
    self.environment = environment
    credit = 0
    lastNanoseconds = environment.monotonicNanoseconds()
  }

  /// No more than this is saved up while nothing is done.
  private var maximumCredit: Double { bytesPerSecond / 10 }

  /// Whether more may be done now; if not, `signal` is raised when it may.
  func allows(wake signal: Signal) -> Bool {
    let now = environment.monotonicNanoseconds()
    let seconds = Double(now - min(now, lastNanoseconds)) / 1e9
    lastNanoseconds = max(now, lastNanoseconds)
    credit = min(maximumCredit, credit + seconds * bytesPerSecond)
    if credit >= 0 { return true }
    guard !isWaiting.exchange(true) else { return false }
    let nanoseconds = UInt64(-credit / bytesPerSecond * 1e9) + 1_000_000
    // Its own task: nobody waits for it, and a store that is closed meanwhile leaves it a signal
    // that nobody hears.
    Task { [environment, isWaiting] in
      await environment.sleep(nanoseconds)
      _ = isWaiting.exchange(false)
      signal.raise()
    }
    return false
  }

  /// Whether more has been done than may be by now.
  var isExceeded: Bool { credit < 0 }

  func spend(_ byteCount: Int) { credit -= Double(byteCount) }
}
