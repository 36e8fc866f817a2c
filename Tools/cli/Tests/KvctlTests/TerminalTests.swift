import Foundation
import Testing

/// The shell at a terminal.
@Suite struct TerminalTests {
  /// A pair of a terminal and what types on it.
  private func terminal() throws -> (master: Int32, slave: Int32) {
    let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    try #require(master >= 0)
    // TIOCSPTLCK and TIOCGPTN, which the overlay does not have.
    var (lock, number): (Int32, Int32) = (0, 0)
    try #require(ioctl(master, 0x4004_5431, &lock) == 0)
    try #require(ioctl(master, 0x8004_5430, &number) == 0)
    let slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
    try #require(slave >= 0)
    return (master, slave)
  }

  /// Reads until the output ends with `mark`.
  private func read(_ master: Int32, until mark: String) -> [UInt8] {
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while !String(decoding: output, as: UTF8.self).hasSuffix(mark) {
      var waiting = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, 60_000) > 0 else { return output }
      let count = Glibc.read(master, &chunk, chunk.count)
      guard count > 0 else { return output }
      output += chunk[..<count]
    }
    return output
  }

  @Test("What is typed is shown once, however long the line is")
  func redraw() throws {
    let place = try Workplace()
    let store = try place.store()
    let (master, slave) = try terminal()
    defer { close(master) }
    let process = Process()
    process.executableURL = URL(filePath: ToolProcess.folder + "/kvctl")
    process.arguments = ["shell", store]
    process.standardInput = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
    process.standardOutput = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
    try process.run()
    close(slave)
    #expect(!read(master, until: "kvctl> ").isEmpty)
    // In pieces, each of which is shown before the next is typed.
    let value = String(repeating: "v", count: 1200)
    var shown = 0
    for piece in ["put k "] + stride(from: 0, to: 1200, by: 3).map({ _ in "vvv" }) {
      _ = Array(piece.utf8).withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
      shown += read(master, until: piece).count
    }
    #expect(shown < 10 * value.utf8.count, "\(shown)")
    _ = write(master, "\n", 1)
    #expect(String(decoding: read(master, until: "kvctl> "), as: UTF8.self).contains("sequence 1"))
    _ = write(master, "quit\n", 5)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(try ToolProcess.kvctl("get", store, "k").text == value)
  }
}
