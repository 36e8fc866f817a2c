import Glibc
import Synchronization
import Testing
import VarveIO

/// A server on a Unix socket: who may connect, what it replaces, and what nobody can do to it.
@Suite struct LocalServerTests {
  /// A folder of a test's own; `body` gets the path of a socket in it.
  private func withPath(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/varve-local-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    defer {
      for name in ["s", "other"] { unlink(folder + "/" + name) }
      rmdir(folder)
    }
    try body(folder + "/s")
  }

  private func server(
    _ path: String, timeoutMilliseconds: UInt64 = 60_000
  ) throws(DeviceError) -> LocalServer {
    try LocalServer(
      path: path, name: "test", timeoutNanoseconds: timeoutMilliseconds * 1_000_000
    ) { line in
      guard line == "flood" else { return LocalAnswer(Array("<\(line)>".utf8)) }
      return LocalAnswer { [UInt8](repeating: 7, count: 64 << 10) }
    }
  }

  private func end(_ server: LocalServer) {
    server.stop()
    server.join()
  }

  private func code(_ path: String) -> DeviceError.Code? {
    do throws(DeviceError) {
      end(try server(path))
      return nil
    } catch {
      return error.code
    }
  }

  @Test("A line is answered, by the owner's leave only, until the server stops")
  func answers() throws {
    try withPath { path in
      let server = try server(path)
      #expect(LocalClient.mode(of: path) == S_IFSOCK | 0o600)
      #expect(try LocalClient.ask("stat", at: path) == "<stat>")
      #expect(try LocalClient.ask("stat\r", at: path) == "<stat>")
      #expect(try LocalClient.ask("", at: path) == "<>")
      let client = try LocalClient(path)
      client.send("st")
      client.send("at")
      shutdown(client.descriptor, Int32(SHUT_WR))
      #expect(client.rest() == Array("<stat>".utf8))
      let waiting = try (0..<8).map { _ in try LocalClient(path) }
      end(server)
      #expect(LocalClient.mode(of: path) == nil)
      for client in waiting { #expect(client.rest() == []) }
    }
  }

  @Test("A socket that nobody answers on is replaced")
  func stale() throws {
    try withPath { path in
      try LocalClient.leaveStaleSocket(at: path)
      let server = try server(path)
      #expect(try LocalClient.ask("stat", at: path) == "<stat>")
      end(server)
    }
  }

  @Test("A socket that somebody answers on is not")
  func taken() throws {
    try withPath { path in
      let first = try server(path)
      #expect(code(path) == .inUse)
      #expect(try LocalClient.ask("stat", at: path) == "<stat>")
      end(first)
      #expect(code(path) == nil)
    }
  }

  @Test("What is no socket is left alone, and links are not followed")
  func otherThings() throws {
    try withPath { path in
      let folder = path.dropLast(2)
      let file = open(path, O_CREAT | O_WRONLY, 0o644)
      #expect(write(file, "data", 4) == 4)
      close(file)
      #expect(code(path) == .exists)
      var status = stat()
      #expect(lstat(path, &status) == 0 && status.st_size == 4 && status.st_mode & S_IFREG != 0)
      unlink(path)
      // One that leads nowhere, and one that leads to a socket that nobody answers on.
      for target in ["nowhere", "\(folder)/other"] {
        #expect(symlink(target, path) == 0)
        if target != "nowhere" { try LocalClient.leaveStaleSocket(at: target) }
        #expect(code(path) == .exists)
        #expect(try #require(LocalClient.mode(of: path)) & S_IFMT == S_IFLNK)
        unlink(path)
      }
      #expect(LocalClient.mode(of: "\(folder)/other") != nil)
      #expect(code("\(folder)/none/s") == .notFound)
    }
  }

  @Test("A path beyond the kernel's bound is refused with both numbers")
  func longPath() throws {
    let path = "/tmp/" + String(repeating: "p", count: 103)
    let error = #expect(throws: DeviceError.self) { try LocalServer.check(path: path) }
    #expect(error?.code == .tooLarge)
    #expect(error?.message.contains("108 bytes") == true)
    #expect(error?.message.contains("107") == true)
    try LocalServer.check(path: String(path.dropLast()))
    #expect(code(path) == .tooLarge)
    #expect(code("") == .notFound)
  }

  @Test("The name that another server made meanwhile stays")
  func foreignName() throws {
    try withPath { path in
      let first = try server(path)
      unlink(path)
      let second = try server(path)
      end(first)
      #expect(try LocalClient.ask("stat", at: path) == "<stat>")
      end(second)
      #expect(LocalClient.mode(of: path) == nil)
    }
  }

  @Test("Who asks without end is told after a line's worth")
  func endlessLine() throws {
    try withPath { path in
      let server = try server(path)
      let client = try LocalClient(path)
      client.send(String(repeating: "x", count: 100_000))
      #expect(client.rest()?.count == 258)
      end(server)
    }
  }

  @Test("Who says nothing, or never reads, is let go and keeps nobody out")
  func hanging() throws {
    try withPath { path in
      let server = try server(path, timeoutMilliseconds: 500)
      let silent = try (0..<16).map { _ in try LocalClient(path) }
      let deaf = try LocalClient(path)
      deaf.send("flood\n")
      #expect(try LocalClient.ask("stat", at: path) == "<stat>")
      for client in silent { #expect(client.rest() == []) }
      deaf.waitForHangUp()
      // What the kernel had taken, and no more.
      #expect(try #require(deaf.rest()).count < 16 << 20)
      end(server)
    }
  }
}
