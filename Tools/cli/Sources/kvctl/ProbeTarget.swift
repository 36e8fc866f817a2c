// What a probe works on. A temporary file loses its name as soon as it is open: however the process
// ends, nothing is left.

import Console
import DeviceLoad
import Glibc
import Varve
import VarveIO

/// An open file or device, and whether it may be written over.
struct ProbeTarget: ~Copyable {
  /// What the path leads to.
  enum Kind: String {
    case file
    case device
    case directory
  }

  let path: String
  let kind: Kind
  let file: DirectFile
  let mayWrite: Bool
  /// How much is filled where it may be written; at most the size of the file.
  let fillByteCount: UInt64
  /// Who else has it open, where that is known.
  let holder: LockHolder?

  /// Less than this says nothing about a device.
  static let leastByteCount: UInt64 = 4 << 20

  // MARK: A directory

  /// Makes a file of at most `byteCount` bytes, and of half of what is free.
  static func directory(
    _ path: String, byteCount: UInt64, allowBuffered: Bool
  ) throws(ToolError) -> ProbeTarget {
    let wanted = min(byteCount, freeByteCount(path) / 2) & ~((4 << 20) - 1)
    guard wanted >= leastByteCount else {
      throw ToolError(
        .failure, code: "io",
        "\(path) has too little space for a temporary file: free some, or name another directory")
    }
    let name = path + "/.kvctl-probe-\(getpid())-\(UInt32.random(in: 0...(.max)))"
    // SAFETY: the name is a String that lives through the call.
    let descriptor = unsafe open(name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw refused("making a file in \(path)") }
    defer {
      close(descriptor)
      // SAFETY: as above.
      _ = unsafe unlink(name)
    }
    guard ftruncate(descriptor, Int(wanted)) == 0 else {
      throw refused("making a file of \(wanted) bytes in \(path)")
    }
    do throws(DeviceError) {
      let file = try DirectFile.open(name, options: OpenOptions(allowBuffered: allowBuffered))
      return ProbeTarget(
        path: path, kind: .directory, file: file, mayWrite: true, fillByteCount: wanted,
        holder: nil)
    } catch {
      throw ToolError(error, naming: path)
    }
  }

  private static func refused(_ what: String) -> ToolError {
    let number = errno
    let isFull = number == ENOSPC || number == EDQUOT
    return ToolError(
      isFull ? .failure : .refused, code: isFull ? "io" : "refused",
      "\(what): \(ToolError.reason(number)): name a directory that can be written")
  }

  private static func freeByteCount(_ path: String) -> UInt64 {
    var status = statvfs()
    // SAFETY: statvfs fills one structure, a local variable.
    guard unsafe statvfs(path, &status) == 0 else { return 0 }
    // A file system without blocks (ramfs) has no end that it knows of.
    guard status.f_blocks > 0 else { return .max }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }

  /// Whether the path leads to a directory.
  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: stat fills one structure, a local variable.
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  // MARK: A file or device

  /// Opens for reading, without a lock: whoever has it open is not disturbed.
  static func reading(_ path: String, allowBuffered: Bool) throws(ToolError) -> ProbeTarget {
    do throws(DeviceError) {
      let file = try DirectFile.open(
        path, options: OpenOptions(access: .readOnly, lock: .none, allowBuffered: allowBuffered))
      let holder = file.lockHolder()
      return ProbeTarget(
        path: path, kind: file.kind == .blockDevice ? .device : .file, file: file,
        mayWrite: false, fillByteCount: 0, holder: holder)
    } catch {
      throw ToolError(error)
    }
  }

  /// Opens for writing, alone, once the person has typed the path back.
  static func overwriting(
    _ path: String, byteCount: UInt64, allowBuffered: Bool, waitForLockSeconds: Double,
    isPrompting: Bool
  ) async throws -> ProbeTarget {
    let file: DirectFile
    do throws(DeviceError) {
      file = try await DirectFile.open(
        path, options: OpenOptions(allowBuffered: allowBuffered),
        waitForLockSeconds: waitForLockSeconds)
    } catch {
      throw ToolError(error)
    }
    // One that comes while the lock is waited for ends the process: nothing is half done there.
    Interruption.watch()
    let signature: DeviceSignature?
    do throws(DeviceError) {
      signature = try file.signature(superblockByteOffsets: [0])
    } catch {
      throw ToolError(error)
    }
    let wanted = min(byteCount, file.byteCount)
    guard wanted >= leastByteCount else {
      throw ToolError(
        .refused, code: "refused",
        "\(path) has \(file.byteCount) bytes: a probe that writes needs \(leastByteCount)")
    }
    try confirm(
      path, holding: signature.map { "\($0)" } ?? "nothing that is known",
      fillByteCount: wanted, isPrompting: isPrompting)
    return ProbeTarget(
      path: path, kind: file.kind == .blockDevice ? .device : .file, file: file, mayWrite: true,
      fillByteCount: wanted, holder: nil)
  }

  private static func confirm(
    _ path: String, holding what: String, fillByteCount: UInt64, isPrompting: Bool
  ) throws(ToolError) {
    if isPrompting {
      try ByteOutput.messages.write(
        Array(
          ("\(path) holds \(what). The first \(ByteSize(fillByteCount)) of it will be OVERWRITTEN "
            + "with random data.\nType the path to go on: ").utf8))
      try ByteOutput.messages.flush()
    }
    var input = LineReader(descriptor: 0, endsOnSignal: true)
    guard case .bytes(let typed)? = try input.next(), typed == Array(path.utf8) else {
      if Interruption.signal != nil { throw .interrupted("nothing was written to \(path)") }
      throw ToolError(
        .refused, code: "refused",
        "\(path) holds \(what), and nothing was written: --write wants the path typed back, on a "
          + "line of standard input")
    }
  }
}
