import Synchronization

/// Buffers of one size that are used again: mapping memory costs more than copying it.
final class BufferPool: Sendable {
  let byteCount: Int
  private let capacity: Int
  private let free = Mutex<[PageBuffer]>([])

  /// Keeps `capacity` buffers at most while they are not in use.
  init(byteCount: Int, capacity: Int) {
    self.byteCount = byteCount
    self.capacity = capacity
  }

  /// A buffer of at least so many bytes; what lay in it may still lie there.
  func take(byteCount wanted: Int) -> PageBuffer {
    guard wanted <= byteCount else { return PageBuffer(byteCount: wanted) }
    return free.withLock { $0.popLast() } ?? PageBuffer(byteCount: byteCount)
  }

  /// Takes a buffer back that nobody uses any more.
  func giveBack(_ buffer: PageBuffer) {
    guard buffer.byteCount == byteCount else { return }
    free.withLock { if $0.count < capacity { $0.append(buffer) } }
  }
}
