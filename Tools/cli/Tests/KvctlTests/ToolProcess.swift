import Foundation
import Synchronization

/// A tool that these tests were built with, as a child process with pipes.
final class ToolProcess {
  /// How a process ended and what it said.
  struct Ended {
    let status: Int32
    let output: [UInt8]
    let errors: String
    var text: String { String(decoding: output, as: UTF8.self) }
  }

  /// The folder of the test runner, where the tools lie too.
  static let folder: String = {
    let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    // A tool that is gone must not end the tests.
    signal(SIGPIPE, SIG_IGN)
    return (path as NSString).deletingLastPathComponent
  }()

  /// Between making a pipe and marking it, no other child may be born: it would keep the end open.
  private static let birth = Mutex(())

  let processID: pid_t
  private let input: Int32
  private let output: Int32
  private var isInputOpen = true
  private var buffer: [UInt8] = []
  private var errorsPath: String

  init(_ tool: String, _ arguments: [String], environment: [String: String] = [:]) throws {
    errorsPath = FileManager.default.temporaryDirectory.path + "/varve-stderr-\(UUID().uuidString)"
    _ = FileManager.default.createFile(atPath: errorsPath, contents: nil)
    var variables = ProcessInfo.processInfo.environment.filter { $0.key != "KVCTL_STORE" }
    variables["SWIFT_BACKTRACE"] = "enable=no"
    variables.merge(environment) { $1 }
    let path = Self.folder + "/" + tool
    let errorsPath = errorsPath
    (processID, input, output) = try Self.birth.withLock { _ in
      var inputs: [Int32] = [0, 0]
      var outputs: [Int32] = [0, 0]
      guard pipe(&inputs) == 0, pipe(&outputs) == 0 else { throw CocoaError(.fileReadUnknown) }
      for descriptor in inputs + outputs { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      defer { posix_spawn_file_actions_destroy(&actions) }
      posix_spawn_file_actions_adddup2(&actions, inputs[0], 0)
      posix_spawn_file_actions_adddup2(&actions, outputs[1], 1)
      posix_spawn_file_actions_addopen(&actions, 2, errorsPath, O_WRONLY, 0)
      let argv = ([path] + arguments).map { strdup($0) } + [nil]
      let envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
      defer { (argv + envp).forEach { free($0) } }
      var child: pid_t = 0
      let result = posix_spawn(&child, path, &actions, nil, argv, envp)
      close(inputs[0])
      close(outputs[1])
      guard result == 0 else {
        close(inputs[1])
        close(outputs[0])
        throw CocoaError(.fileNoSuchFile, userInfo: ["path": path, "errno": result])
      }
      return (child, inputs[1], outputs[0])
    }
  }

  /// Writes to the child; false when it is gone.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        write(input, $0.baseAddress.map { $0 + sent }, bytes.count - sent)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  /// The next line of the child's output, or nil at its end.
  func line() -> [UInt8]? {
    while true {
      if let end = buffer.firstIndex(of: 10) {
        defer { buffer.removeSubrange(...end) }
        return Array(buffer[..<end])
      }
      guard fill() else { return nil }
    }
  }

  private func fill() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      // A child that says nothing for this long hangs, and is a failure, not a wait for ever.
      var waiting = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      if poll(&waiting, 1, 120_000) == 0 { sendSIGKILL() }
      let count = read(output, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      buffer.append(contentsOf: chunk[..<count])
      return true
    }
  }

  func closeInput() {
    guard isInputOpen else { return }
    isInputOpen = false
    close(input)
  }

  func sendSIGKILL() { send(signal: SIGKILL) }

  func send(signal: Int32) { kill(processID, signal) }

  /// Whether the child has something open whose name ends with `suffix`.
  func hasOpen(_ suffix: String) -> Bool {
    let folder = "/proc/\(processID)/fd"
    let numbers = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return numbers.contains { number in
      let target = try? FileManager.default.destinationOfSymbolicLink(
        atPath: folder + "/" + number)
      return target?.hasSuffix(suffix) == true
    }
  }

  /// Waits for the end; the status is the exit code, or 128 + the signal.
  func end() -> Ended {
    closeInput()
    while fill() {}
    close(output)
    var status: Int32 = 0
    while waitpid(processID, &status, 0) < 0, errno == EINTR {}
    let errors = FileManager.default.contents(atPath: errorsPath) ?? Data()
    try? FileManager.default.removeItem(atPath: errorsPath)
    let code = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
    return Ended(status: code, output: buffer, errors: String(decoding: errors, as: UTF8.self))
  }

  /// Runs kvctl to its end.
  static func kvctl(
    _ arguments: String..., input: [UInt8] = [], environment: [String: String] = [:]
  ) throws -> Ended {
    let process = try ToolProcess("kvctl", arguments, environment: environment)
    // The child may end without reading; what is sent here fits a pipe or is read.
    process.send(input)
    return process.end()
  }
}
