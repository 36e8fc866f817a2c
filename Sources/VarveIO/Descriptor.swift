import CVarveAIO
import Glibc

/// A file descriptor with one owner: closed exactly once, by `close()` or with its owner.
struct Descriptor: ~Copyable {
  /// The number that system calls take. Valid while the owner lives.
  let rawValue: Int32
  /// The fork generation in which a flock was taken through this descriptor.
  private var lockGeneration: UInt32?

  /// Takes over an open descriptor.
  init(adopting rawValue: Int32) { self.rawValue = rawValue }

  /// Takes a flock without waiting, and returns the kernel's error number, or 0.
  mutating func lock(_ operation: Int32) -> Int32 {
    while flock(rawValue, operation | LOCK_NB) != 0 {
      if errno != EINTR { return errno }
    }
    lockGeneration = varve_fork_generation()
    return 0
  }

  /// Gives up the flock. Closing alone would not: a child that the host is just spawning shares
  /// the lock until its exec. A forked child, in turn, must leave its parent's lock alone.
  private func unlock() {
    if lockGeneration == varve_fork_generation() { _ = flock(rawValue, LOCK_UN) }
  }

  /// Closes the descriptor and returns the kernel's error number, or 0.
  consuming func close() -> Int32 {
    let number = rawValue
    unlock()
    discard self
    // Linux frees the number even when close reports an error or EINTR: it is never repeated.
    return Glibc.close(number) == 0 ? 0 : errno
  }

  deinit {
    unlock()
    _ = Glibc.close(rawValue)
  }

  /// What fstat says.
  borrowing func status() -> (stat, errorNumber: Int32) {
    var status = stat()
    let result = unsafe fstat(rawValue, &status)
    return (status, result == 0 ? 0 : errno)
  }
}

/// Opens a path and returns the descriptor, or the negative error number.
func openDescriptor(_ path: String, in directory: Int32 = -100, flags: Int32, mode: mode_t = 0)
  -> Int32
{
  // SAFETY: Swift lends the path as a zero-terminated string for the duration of the call.
  unsafe path.withCString { unsafe varve_open_at(directory, $0, flags | O_CLOEXEC, mode) }
}
