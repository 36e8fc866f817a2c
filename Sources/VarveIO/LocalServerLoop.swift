// The thread of a LocalServer: one poll over the socket, an event that stops it, and the few who
// ask. Nothing here blocks but that poll, and it ends with the next deadline.

import CVarveAIO
import Glibc
import Synchronization

/// What the thread of a `LocalServer` does.
///
/// SAFETY: `connections` is touched by the thread alone; the rest never changes but for an atomic.
final class LocalServerLoop: @unchecked Sendable {
  /// Who asks at once; others wait in the queue of the socket.
  static let maximumConnectionCount = 8
  /// How long to let the system be that has no descriptor left.
  private static let pauseNanoseconds: UInt64 = 200_000_000

  private let socket: LocalSocket
  private let wake: Descriptor
  private let timeoutNanoseconds: UInt64
  private let answer: @Sendable (String) -> LocalAnswer
  private let isStopped = Atomic<Bool>(false)
  private var connections: [LocalConnection] = []
  /// When a connection may be taken again.
  private var pauseEndNanoseconds: UInt64 = 0

  init(
    socket: consuming LocalSocket, wake: consuming Descriptor, timeoutNanoseconds: UInt64,
    answer: @escaping @Sendable (String) -> LocalAnswer
  ) {
    self.socket = socket
    self.wake = wake
    self.timeoutNanoseconds = timeoutNanoseconds
    self.answer = answer
  }

  func stop() {
    guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
    socket.removeName()
    // The counter of an event takes any number of signals.
    _ = varve_event_signal(wake.rawValue)
  }

  func run() {
    while !isStopped.load(ordering: .acquiring) {
      let now = varve_monotonic_nanoseconds()
      let isAccepting =
        connections.count < LocalServerLoop.maximumConnectionCount && now >= pauseEndNanoseconds
      var waiting = [
        pollfd(fd: wake.rawValue, events: Int16(POLLIN), revents: 0),
        pollfd(fd: isAccepting ? socket.number : -1, events: Int16(POLLIN), revents: 0),
      ]
      waiting += connections.map(\.polled)
      // SAFETY: the array has as many elements as the call is told; -1 is passed over.
      let count = unsafe poll(&waiting, nfds_t(waiting.count), timeoutMilliseconds(now))
      serve(count > 0 ? waiting.dropFirst(2).map(\.revents) : [])
      if count > 0, waiting[1].revents != 0 { accept() }
    }
    connections = []
    // Whoever still waits in the queue learns now that nobody will come; the name is gone.
    while case let number = varve_local_accept(socket.number), number >= 0 {
      _ = Descriptor(adopting: number).close()
    }
  }

  /// Until the next deadline or the end of the pause, rounded up; without one for ever.
  private func timeoutMilliseconds(_ now: UInt64) -> Int32 {
    var ends = connections.map(\.deadlineNanoseconds)
    if pauseEndNanoseconds > now { ends.append(pauseEndNanoseconds) }
    guard let end = ends.min() else { return -1 }
    return Int32(clamping: (end - min(end, now) + 999_999) / 1_000_000)
  }

  private func serve(_ events: [Int16]) {
    let now = varve_monotonic_nanoseconds()
    var left: [LocalConnection] = []
    for (position, connection) in connections.enumerated() {
      let isReady = position < events.count && events[position] != 0
      if now < connection.deadlineNanoseconds, !isReady || connection.advance(answer) {
        left.append(connection)
      }
    }
    connections = left
  }

  private func accept() {
    let number = varve_local_accept(socket.number)
    let now = varve_monotonic_nanoseconds()
    guard number < 0 else {
      return connections.append(
        LocalConnection(adopting: number, deadlineNanoseconds: now + timeoutNanoseconds))
    }
    // Whoever left again, or came first, is no failure; out of descriptors, the poll would return
    // at once for ever.
    if number != -EAGAIN, number != -EINTR, number != -ECONNABORTED {
      pauseEndNanoseconds = now + LocalServerLoop.pauseNanoseconds
    }
  }
}
