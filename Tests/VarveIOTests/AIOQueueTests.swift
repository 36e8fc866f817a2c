import CVarveAIO
import Glibc
import Testing

@testable import VarveIO

/// Linux AIO for one owner, at the level of the system calls.
@Suite struct AIOQueueTests {
  /// A file of eight pages, each filled with its number.
  static func withFile(_ body: (Int32) throws -> Void) throws {
    let folder = try TestFolder()
    let bytes = (0..<8).flatMap { [UInt8](repeating: UInt8($0 + 1), count: 4096) }
    let path = try folder.write("file", bytes)
    let descriptor = open(path, O_RDWR | varve_open_direct_flag())
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    try body(descriptor)
  }

  private func piece(_ buffer: Buffer, _ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: buffer.base, count: byteCount)
  }

  /// Takes `count` completions.
  private func completions(
    _ queue: inout AIOQueue, _ count: Int
  ) throws -> [UInt64: AIOCompletion] {
    var found: [UInt64: AIOCompletion] = [:]
    while found.count < count {
      _ = try queue.reap(minimumCount: 1, maximumCount: 8) { found[$0.cookie] = $0 }
    }
    return found
  }

  /// Two reads of a sector, and their cookies come back.
  @Test func twoReadsAndTheirCookies() throws {
    try Self.withFile { descriptor in
      let (first, second) = (Buffer(512), Buffer(512))
      var queue = try AIOQueue(requestCapacity: 128)
      try queue.prepare(.read(descriptor, into: piece(first, 512), at: 0), cookie: 0xbeef)
      try queue.prepare(.read(descriptor, into: piece(second, 512), at: 4096), cookie: 0xbaba)
      let submittedCount = try queue.submit()
      #expect(submittedCount == 2)
      var found: Set<AIOCompletion> = []
      let count = try queue.reap(minimumCount: 2, maximumCount: 2) { found.insert($0) }
      #expect(count == 2)
      #expect(found.map(\.cookie).sorted() == [0xbaba, 0xbeef])
      #expect(found.allSatisfy { $0.result == 512 && $0.errorNumber == 0 })
      #expect(first.isFilled(with: 1, byteCount: 512) && second.isFilled(with: 2, byteCount: 512))
    }
  }

  @Test func everyOperation() throws {
    try Self.withFile { descriptor in
      let (source, target) = (Buffer(16384, filledWith: 9), Buffer(16384))
      var queue = try AIOQueue(requestCapacity: 8)
      let segments = { (buffer: Buffer) in
        [(0, 512), (1024, 2560), (4096, 1024)].map {
          IOSegment(memory: buffer.base + $0.0, byteCount: $0.1)
        }
      }
      var write = AIOOperation.write(descriptor, from: segments(source), at: 4096)
      write.isDurable = true
      try queue.prepare(write, cookie: 1)
      var plain = AIOOperation.write(
        descriptor, from: UnsafeRawBufferPointer(start: source.base, count: 512), at: 0)
      // The best-effort class, its lowest level.
      plain.priority = 2 << 13 | 7
      try queue.prepare(plain, cookie: 2)
      _ = try queue.submit()
      var found = try completions(&queue, 2)
      #expect(found[1]?.result == 4096 && found[2]?.result == 512)
      try queue.prepare(.flush(descriptor), cookie: 3)
      _ = try queue.submit()
      found = try completions(&queue, 1)
      #expect(found[3]?.result == 0)
      try queue.prepare(.read(descriptor, into: segments(target), at: 4096), cookie: 4)
      _ = try queue.submit()
      found = try completions(&queue, 1)
      #expect(found[4]?.result == 4096)
      #expect(
        segments(target).allSatisfy { piece in
          UnsafeRawBufferPointer(start: piece.memory, count: piece.byteCount).allSatisfy { $0 == 9 }
        })
      #expect(target[512] == 0 && queue.inFlightCount == 0)
    }
  }

  /// What the kernel refuses fails alone, in its turn; too many pieces are refused before.
  @Test func refusalsComeAsCompletions() throws {
    try Self.withFile { descriptor in
      let buffer = Buffer(4096)
      var queue = try AIOQueue(requestCapacity: 8)
      try queue.prepare(.read(-1, into: piece(buffer, 512), at: 0), cookie: 1)
      try queue.prepare(.read(descriptor, into: piece(buffer, 512), at: 0), cookie: 2)
      try queue.prepare(.flush(-1), cookie: 3)
      try queue.prepare(.read(descriptor, into: piece(buffer, 100), at: 0), cookie: 4)
      let takenCount = try queue.submit()
      #expect(takenCount >= 1 && queue.preparedCount == 0)
      let found = try completions(&queue, 4)
      #expect(found[1]?.errorNumber == EBADF && found[3]?.errorNumber == EBADF)
      #expect(found[2]?.result == 512 && found[4]?.errorNumber == EINVAL)
      let many = (0..<17).map { _ in IOSegment(memory: buffer.base, byteCount: 512) }
      do {
        try queue.prepare(.read(descriptor, into: many, at: 512), cookie: 5)
        Issue.record("17 pieces were taken")
      } catch {
        let wanted = IOError(
          operation: .read, byteOffset: 512, byteCount: 17 * 512, errorNumber: EINVAL)
        #expect(error as? IOError == wanted)
      }
      // At the end of the file there is less, then nothing.
      try queue.prepare(.read(descriptor, into: piece(buffer, 4096), at: 8 * 4096), cookie: 6)
      _ = try queue.submit()
      let end = try completions(&queue, 1)
      #expect(end[6]?.result == 0)
    }
  }

  /// `min_nr`, `nr` and the timeout.
  @Test func reapingObeysItsNumbers() throws {
    try Self.withFile { descriptor in
      let buffers = (0..<6).map { _ in Buffer(512) }
      var queue = try AIOQueue(requestCapacity: 6)
      for (index, buffer) in buffers.enumerated() {
        let hasRoom = queue.hasRoom
        #expect(hasRoom)
        let place = UInt64(index) * 4096
        try queue.prepare(
          .read(descriptor, into: piece(buffer, 512), at: place), cookie: UInt64(index))
      }
      let isFull = !queue.hasRoom
      #expect(isFull)
      _ = try queue.submit()
      var counts: [Int] = []
      counts.append(try queue.reap(minimumCount: 4, maximumCount: 4) { _ in })
      // More than are in flight are not waited for.
      counts.append(try queue.reap(minimumCount: 64, maximumCount: 64) { _ in })
      counts.append(try queue.reap(minimumCount: 0, maximumCount: 64) { _ in })
      #expect(counts == [4, 2, 0])
      // A poll that nothing fulfils: the time ends.
      let event = varve_event_create()
      defer { close(event) }
      try queue.prepare(.poll(event, events: Int16(POLLIN)), cookie: 7)
      _ = try queue.submit()
      let count = try queue.reap(maximumCount: 1, timeoutNanoseconds: 1_000_000) { _ in }
      #expect(count == 0 && queue.inFlightCount == 1)
      varve_event_signal(event)
      let found = try completions(&queue, 1)
      #expect(found[7]?.result == Int(POLLIN))
    }
  }

  /// The kernel cancels polls, whose completion then comes through the ring, and nothing else.
  @Test func onlyPollsAreCancelled() throws {
    try Self.withFile { descriptor in
      let event = varve_event_create()
      defer { close(event) }
      let buffer = Buffer(16384)
      var queue = try AIOQueue(requestCapacity: 2)
      try queue.prepare(.read(descriptor, into: piece(buffer, 16384), at: 0), cookie: 1)
      try queue.prepare(.poll(event, events: Int16(POLLIN)), cookie: 1)
      _ = try queue.submit()
      // The read has the same cookie, and is passed over.
      let answers = [try queue.cancelPoll(cookie: 1), try queue.cancelPoll(cookie: 2)]
      #expect(answers == [true, false])
      var results: [Int] = []
      while results.count < 2 {
        _ = try queue.reap(maximumCount: 2) { results.append($0.result) }
      }
      #expect(results.contains(16384))
    }
  }

  /// The ring of the kernel is smaller than the table: the rest stays prepared until room comes.
  @Test func aFullRingTakesAPart() throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 8 << 20))
    let buffer = Buffer(65536)
    var queue = try AIOQueue(requestCapacity: 2048, contextCapacity: 1, signalsEvent: false)
    for index in 0..<2048 {
      try queue.prepare(
        .read(file.descriptorNumber, into: piece(buffer, 65536), at: UInt64(index % 128) * 65536),
        cookie: UInt64(index))
    }
    let takenCount = try queue.submit()
    #expect(takenCount > 0 && takenCount < 2048)
    #expect(queue.preparedCount == 2048 - takenCount)
    var cookies: Set<UInt64> = []
    while cookies.count < 2048 {
      _ = try queue.reap(maximumCount: 64) { #expect(cookies.insert($0.cookie).inserted) }
      _ = try queue.submit()
    }
    #expect(queue.inFlightCount == 0 && queue.preparedCount == 0)
    try file.close()
  }

  /// Transfers and polls in flight do not outlive their queue.
  @Test func aQueueThatIsDroppedLetsGo() throws {
    try Self.withFile { descriptor in
      let event = varve_event_create()
      defer { close(event) }
      let buffer = Buffer(16384, filledWith: 0xff)
      do {
        var queue = try AIOQueue(requestCapacity: 4, signalsEvent: true)
        try queue.prepare(.poll(event, events: Int16(POLLIN)), cookie: 1)
        try queue.prepare(.read(descriptor, into: piece(buffer, 16384), at: 0), cookie: 2)
        _ = try queue.submit()
      }
      #expect(buffer[0] == 1 && buffer[16383] == 4)
    }
  }

  @Test func aForkedChildHasNoContext() throws {
    var queue = try AIOQueue(requestCapacity: 4)
    let child = forkProcess()
    if child == 0 {
      do {
        _ = try queue.reap(minimumCount: 0, maximumCount: 1) { _ in }
        _exit(1)
      } catch {
        _exit(error.code == .unsupported && error.errorNumber == ECHILD ? 42 : 2)
      }
    }
    var status: Int32 = 0
    #expect(waitpid(child, &status, 0) == child)
    #expect(status == 42 << 8)
  }
}
