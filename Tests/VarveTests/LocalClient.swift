import Foundation
import Testing

/// Someone at the other end of a Unix socket, well behaved or not.
final class LocalClient {
  let descriptor: Int32

  /// Connects; waits where the queue of the socket is full.
  init(_ path: String) throws {
    descriptor = LocalClient.socket()
    try #require(descriptor >= 0)
    let result = LocalClient.call(connect, descriptor, path)
    try #require(result == 0, "\(path): errno \(errno)")
  }

  deinit { close(descriptor) }

  private static func socket() -> Int32 { Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) }

  private static func call(
    _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ descriptor: Int32,
    _ path: String
  ) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  /// What a process that was killed leaves: a socket on which nobody answers.
  static func leaveStaleSocket(at path: String) throws {
    let descriptor = socket()
    try #require(call(bind, descriptor, path) == 0)
    close(descriptor)
  }

  func send(_ text: String) {
    let bytes = Array(text.utf8)
    // The other end may be gone, which is then the answer.
    _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// Waits, without reading, until the other end has closed.
  func waitForHangUp() {
    var waiting = pollfd(fd: descriptor, events: 0, revents: 0)
    #expect(poll(&waiting, 1, 60_000) == 1 && waiting.revents & Int16(POLLHUP) != 0)
  }

  /// Everything up to the end; nil where that does not come.
  func rest() -> [UInt8]? {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, 60_000) > 0 else { return nil }
      let count = recv(descriptor, &chunk, chunk.count, 0)
      guard count > 0 else { return bytes }
      bytes += chunk[..<count]
    }
  }

  /// Asks a line and returns the answer.
  static func ask(_ line: String, at path: String) throws -> String {
    let client = try LocalClient(path)
    client.send(line + "\n")
    return String(decoding: try #require(client.rest()), as: UTF8.self)
  }

  /// Asks a line and returns the answer as an object.
  static func object(_ line: String, at path: String) throws -> [String: Any] {
    let answer = try ask(line, at: path)
    #expect(answer.hasSuffix("}\n") && answer.count { $0 == "\n" } == 1)
    let object = try JSONSerialization.jsonObject(with: Data(answer.utf8))
    return try #require(object as? [String: Any])
  }

  /// The kind and mode of what lies at a path; nil for nothing.
  static func mode(of path: String) -> mode_t? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode : nil
  }
}
