import CVarveAIO
import Synchronization

/// An answer in pieces, so that a long one is never whole in memory. Used by one thread.
package struct LocalAnswer {
  /// The next piece; nil at the end.
  let next: () -> [UInt8]?

  /// An answer that is made piece by piece.
  package init(_ next: @escaping () -> [UInt8]?) { self.next = next }

  /// An answer in one piece.
  package init(_ bytes: [UInt8]) {
    var rest: [UInt8]? = bytes
    next = {
      defer { rest = nil }
      return rest
    }
  }
}

/// Answers lines on a Unix socket, on a thread of its own: a line is asked, an answer given, and
/// the connection closed. Only the owner of the process may connect. A few are served at a time,
/// each by a deadline; who hangs, floods or reads slowly costs no one anything but this thread.
package final class LocalServer: Sendable {
  private let loop: LocalServerLoop
  private let thread = Mutex<DeviceThread?>(nil)

  /// How long one who asks may take, from the connection to the last byte of the answer.
  package static let timeoutNanoseconds: UInt64 = 5_000_000_000

  /// Begins to answer at a path; `name`, that of the thread, has at most 15 bytes. `answer` is
  /// called on the thread and must not block.
  ///
  /// - Throws: `exists`, `inUse`, `tooLarge`, or what the system refuses.
  package init(
    path: String, name: String,
    timeoutNanoseconds: UInt64 = LocalServer.timeoutNanoseconds,
    answer: @escaping @Sendable (String) -> LocalAnswer
  ) throws(DeviceError) {
    let event = varve_event_create()
    guard event >= 0 else {
      throw .system("make an event for", path: path, errorNumber: -event)
    }
    let loop = LocalServerLoop(
      socket: try LocalSocket.listening(at: path), wake: Descriptor(adopting: event),
      timeoutNanoseconds: timeoutNanoseconds, answer: answer)
    self.loop = loop
    let started = try DeviceThread(name: name) { loop.run() }
    thread.withLock { $0 = started }
  }

  deinit { loop.stop() }

  /// Refuses what can be no path of a socket, without looking at the file system.
  ///
  /// - Throws: `tooLarge`, `notFound` for an empty one.
  package static func check(path: String) throws(DeviceError) { try LocalSocket.check(path) }

  /// Takes the name away and lets the thread end, with whatever connections there are. Idempotent;
  /// does not wait.
  package func stop() { loop.stop() }

  /// Waits, blocking, until the thread has ended, which it does once stopped.
  package func join() {
    let ended = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    guard let ended else { return }
    if ended.isCurrent { ended.detach() } else { ended.join() }
  }

  /// Where a store at a path is asked unless somebody says otherwise: beside a file; for a block
  /// device under /run/varve, by the name of the device to which links lead.
  package static func conventionalPath(forStoreAt path: String) -> String {
    guard let target = try? PathTarget(path), target.isBlockDevice else { return path + ".sock" }
    return "/run/varve/" + PathTarget.name(of: target.resolvedTarget ?? path) + ".sock"
  }
}
