import Console
import VarveIO

/// A file whose page n holds the integer n, written and read through Linux AIO.
struct IntegerFile: ~Copyable {
  /// What decides how many requests are under way, and how completions are taken.
  struct Knobs {
    var pageCount: Int
    var concurrentRequestCount: Int
    var minimumCount: Int
    var maximumCount: Int
  }

  private let file: DirectFile
  private let knobs: Knobs
  private var queue: AIOQueue
  /// A page for each request that may be under way; its cookie is the number of its page here.
  private let pages: AlignedMemory
  private var freePages: [Int]
  /// What each request works on.
  private var integers: [Int]

  private static let pageByteCount = 4096

  /// Creates the file, with all its blocks: writes that extend a file are synchronous.
  init(path: String, _ knobs: Knobs) throws(DeviceError) {
    let queue = try AIOQueue(requestCapacity: knobs.concurrentRequestCount)
    let file = try DirectFile.create(
      path, options: CreateOptions(byteCount: UInt64(knobs.pageCount * Self.pageByteCount)))
    self.queue = queue
    self.file = file
    self.knobs = knobs
    pages = AlignedMemory(byteCount: knobs.concurrentRequestCount * Self.pageByteCount)
    freePages = Array(0..<knobs.concurrentRequestCount)
    integers = Array(repeating: 0, count: knobs.concurrentRequestCount)
  }

  /// Writes every integer to its page.
  mutating func write() throws {
    try transfer(isWrite: true) { _ in }
  }

  /// Reads every page and adds up what it holds.
  mutating func sum() throws -> Int {
    var sum = 0
    try transfer(isWrite: false) { sum += $0 }
    return sum
  }

  /// Passes over the file with as many requests under way as are allowed.
  private mutating func transfer(isWrite: Bool, _ body: (Int) -> Void) throws {
    for integer in 0..<knobs.pageCount {
      guard let page = freePages.popLast() else { preconditionFailure("a page is free by then") }
      integers[page] = integer
      // SAFETY: the page is this request's alone until its completion has been reaped.
      let memory = unsafe UnsafeMutableRawBufferPointer(
        start: pages.base + page * Self.pageByteCount, count: Self.pageByteCount)
      let place = UInt64(integer * Self.pageByteCount)
      if isWrite { unsafe memory.storeBytes(of: Int64(integer).littleEndian, as: Int64.self) }
      unsafe try queue.prepare(
        isWrite
          ? .write(file.descriptorNumber, from: UnsafeRawBufferPointer(memory), at: place)
          : .read(file.descriptorNumber, into: memory, at: place),
        cookie: UInt64(page))
      _ = try queue.submit()
      while freePages.isEmpty { try reap(isWrite: isWrite, body) }
    }
    while queue.inFlightCount > 0 { try reap(isWrite: isWrite, body) }
  }

  private mutating func reap(isWrite: Bool, _ body: (Int) -> Void) throws {
    var completions: [AIOCompletion] = []
    _ = try queue.reap(minimumCount: knobs.minimumCount, maximumCount: knobs.maximumCount) {
      completions.append($0)
    }
    for completion in completions {
      let page = Int(completion.cookie)
      let integer = integers[page]
      guard completion.result == Self.pageByteCount else {
        throw IOError(
          operation: isWrite ? .write : .read,
          byteOffset: UInt64(integer * Self.pageByteCount), byteCount: Self.pageByteCount,
          errorNumber: completion.errorNumber)
      }
      // SAFETY: the kernel has let go of the page, which holds an integer at its start.
      let found = unsafe (pages.base + page * Self.pageByteCount).load(as: Int64.self)
      body(Int(Int64(littleEndian: found)))
      freePages.append(page)
    }
  }
}
