import Glibc
import Varve

/// The exit codes that scripts may rely on; the same for every tool.
public enum ExitStatus: Int32, Sendable {
  /// Done, and nothing to report.
  case clean = 0
  /// A key was not found, or another named failure.
  case failure = 1
  /// Done, and the store had not been closed: recovered, without at most an unacknowledged tail.
  case recovered = 10
  /// Damage was found.
  case damaged = 20
  /// Refused; the image is untouched.
  case refused = 30
  /// Another process holds the store.
  case inUse = 31
  /// Memory, I/O contexts or descriptors do not suffice.
  case resource = 32
  /// The command line makes no sense.
  case usage = 64
}

/// Why a tool stops: an exit code, a stable name, and a message with cause and remedy.
public struct ToolError: Error, Hashable, Sendable {
  /// What the process exits with.
  public let status: ExitStatus
  /// The stable name.
  public let code: String
  /// Cause and remedy.
  public let message: String
  /// Where on the device, where the error is about a place.
  public let byteOffset: UInt64?
  /// What else a program may want to know: more members of the object.
  public private(set) var details: [JSONValue.Member] = []
  /// The signal on which the tool stopped, if that is why.
  public private(set) var signal: Int32?

  /// What the process exits with: as a shell says it where a signal ended the work.
  public var exitCode: Int32 { signal.map { 128 + $0 } ?? status.rawValue }

  /// Makes an error.
  public init(
    _ status: ExitStatus, code: String, _ message: String, byteOffset: UInt64? = nil
  ) {
    self.status = status
    self.code = code
    self.message = message
    self.byteOffset = byteOffset
  }

  /// An error of the store; `subject` says what was being done, or names what it was done to, and
  /// is left out where the message says it.
  public init(_ error: StoreError, subject: String? = nil) {
    let status: ExitStatus =
      switch error.code {
      case .corrupt, .suspect: .damaged
      case .refused, .notFound: .refused
      case .inUse: .inUse
      case .resource: .resource
      case .usage: .usage
      default: .failure
      }
    let named = subject.map { error.message.contains($0) ? "" : $0 + ": " } ?? ""
    // What the library calls a remedy has a name on the command line.
    let remedy =
      error.code == .inUse
      ? " (--wait SECONDS)"
      : error.message.contains("force")
        ? " (--force)"
        : error.message.contains("memory budget") ? " (--memory-budget SIZE)" : ""
    self.init(
      status, code: error.code.rawValue, named + error.message + remedy,
      byteOffset: error.byteOffset)
  }

  /// A command line that makes no sense.
  public static func usage(_ message: String) -> ToolError {
    ToolError(.usage, code: "usage", message)
  }

  /// Work that a signal ended.
  public static func interrupted(_ message: String) -> ToolError {
    var error = ToolError(.failure, code: "cancelled", "\(Interruption.name): \(message)")
    error.signal = Interruption.signal
    return error
  }

  /// The same error with more to its message and to its object.
  public func adding(_ text: String, _ details: [JSONValue.Member]) -> ToolError {
    var error = ToolError(status, code: code, message + text, byteOffset: byteOffset)
    error.details = self.details + details
    error.signal = signal
    return error
  }

  /// A system call that failed, with the reason that `errno` gives.
  public static func system(_ what: String, errorNumber: Int32) -> ToolError {
    ToolError(.failure, code: "io", "\(what): \(reason(errorNumber))")
  }

  /// The reason that the system gives for an error number.
  public static func reason(_ errorNumber: Int32) -> String {
    // SAFETY: strerror returns a string that lives until its next call on this thread.
    unsafe strerror(errorNumber).map { unsafe String(cString: $0) } ?? "error \(errorNumber)"
  }

  /// The error as one object, as `--json` prints it on standard error.
  public var json: JSONValue {
    let object: JSONValue = ["ok": false, "code": .string(code), "message": .string(message)]
    let offset = byteOffset.map { [JSONValue.Member("offset", .count($0))] } ?? []
    return object.adding(offset + details)
  }
}
