/// A gate that opens once; whoever comes before waits, blocking.
///
/// SAFETY: the flag is touched only with the monitor locked.
final class Latch: @unchecked Sendable {
  private let monitor = Monitor()
  private var isOpen = false

  /// Whether nobody has to wait any more.
  var isPassable: Bool { monitor.withLock { isOpen } }

  func open() {
    monitor.withLock {
      isOpen = true
      monitor.broadcast()
    }
  }

  func wait() {
    monitor.withLock {
      while !isOpen { monitor.wait() }
    }
  }
}
