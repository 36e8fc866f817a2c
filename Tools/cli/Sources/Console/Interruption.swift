import Glibc
import Synchronization

/// SIGTERM, SIGINT and SIGHUP as a wish to come to an end: a command that watches for them stops at
/// a place where nothing is half done. A second signal ends the process as ever.
public enum Interruption {
  /// The signal that came; 0 before.
  private static let received = Atomic<Int32>(0)
  /// A pipe that can be read once a signal came: whoever waits for input waits for it too.
  private static let readEnd = Atomic<Int32>(-1)
  private static let writeEnd = Atomic<Int32>(-1)

  private static let names = [SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGTERM: "SIGTERM"]

  /// The signal that came, if one did.
  public static var signal: Int32? {
    let number = received.load(ordering: .acquiring)
    return number == 0 ? nil : number
  }

  /// The name of the signal that came.
  public static var name: String { signal.flatMap { names[$0] } ?? "a signal" }

  /// Watches from here on. What the process was told to ignore (nohup) stays ignored.
  public static func watch() {
    var ends: [Int32] = [-1, -1]
    // SAFETY: pipe fills the two numbers of the array.
    guard unsafe pipe(&ends) == 0 else { return }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    // Both are set before the handler is, which touches nothing else.
    readEnd.store(ends[0], ordering: .releasing)
    writeEnd.store(ends[1], ordering: .releasing)
    received.store(0, ordering: .releasing)
    for number in names.keys {
      var current = sigaction()
      // SAFETY: the structure is a local variable.
      guard unsafe sigaction(number, nil, &current) == 0, !isIgnored(current) else { continue }
      // The handler only stores, writes and resets, which a signal handler may.
      _ = Glibc.signal(number) { Interruption.note($0) }
    }
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    // SAFETY: a handler is an address, and SIG_IGN is the address 1.
    unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }

  private static func note(_ number: Int32) {
    let saved = errno
    received.store(number, ordering: .releasing)
    var byte: UInt8 = 1
    // SAFETY: one byte is written from a local variable.
    _ = unsafe write(writeEnd.load(ordering: .acquiring), &byte, 1)
    _ = Glibc.signal(number, SIG_DFL)
    errno = saved
  }

  /// Waits until a descriptor can be read or is at its end; false where a signal came first.
  public static func waitForInput(_ descriptor: Int32) -> Bool {
    var waiting = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: readEnd.load(ordering: .acquiring), events: Int16(POLLIN), revents: 0),
    ]
    while signal == nil {
      // SAFETY: the array has as many elements as the call is told; -1 is passed over.
      let count = unsafe poll(&waiting, nfds_t(waiting.count), -1)
      if count < 0, errno == EINTR { continue }
      // Where waiting fails, reading tells why.
      if count < 0 || waiting[0].revents != 0 { return signal == nil }
    }
    return false
  }
}
