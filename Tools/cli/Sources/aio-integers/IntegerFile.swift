import Console
import Glibc
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
  /// SAFETY: `transfer` returns only when nothing is under way, so `pages` may go at any time.
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

  /// Passes over the file with as many requests under way as are allowed. The first error ends the
  /// pass, once everything that is under way has come back.
  private mutating func transfer(isWrite: Bool, _ body: (Int) -> Void) throws {
    var next = 0
    var failure: IOError?
    while true {
      while next < knobs.pageCount, failure == nil, let page = freePages.popLast() {
        try prepare(next, in: page, isWrite: isWrite)
        next += 1
      }
      guard queue.preparedCount + queue.unreapedCount > 0 else { break }
      // The kernel may leave a part, which goes with the next call.
      _ = try queue.submit()
      failure = try reap(isWrite: isWrite, body) ?? failure
    }
    if let failure { throw failure }
  }

  private mutating func prepare(_ integer: Int, in page: Int, isWrite: Bool) throws {
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
  }

  /// Takes completions, and returns the first error.
  private mutating func reap(isWrite: Bool, _ body: (Int) -> Void) throws -> IOError? {
    var completions: [AIOCompletion] = []
    _ = try queue.reap(minimumCount: knobs.minimumCount, maximumCount: knobs.maximumCount) {
      completions.append($0)
    }
    var failure: IOError?
    for completion in completions {
      let page = Int(completion.cookie)
      freePages.append(page)
      let integer = integers[page]
      guard completion.result == Self.pageByteCount else {
        // A direct transfer of one page that ends early has met the end of the file.
        failure =
          failure
          ?? IOError(
            operation: isWrite ? .write : .read,
            byteOffset: UInt64(integer * Self.pageByteCount), byteCount: Self.pageByteCount,
            errorNumber: completion.result < 0 ? completion.errorNumber : EIO)
        continue
      }
      // SAFETY: the kernel has let go of the page, which holds an integer at its start.
      let found = unsafe (pages.base + page * Self.pageByteCount).load(as: Int64.self)
      body(Int(Int64(littleEndian: found)))
    }
    return failure
  }
}
