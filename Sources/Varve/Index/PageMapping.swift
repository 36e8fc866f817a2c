import Glibc

/// A reserved range of addresses for pages, made writable from the bottom up, with a note beside
/// it for each page. It knows nothing of what the pages are used for.
@safe struct PageMapping: @unchecked Sendable {
  // SAFETY: the pointers lead to one mapping, which its owner unmaps once and guards with a lock.

  /// What is known of a page: for the first and the last page of a free run its length, for a slab
  /// page which of its 64-byte units are free; and its neighbours in the list that it is in.
  struct Note {
    var value: UInt64 = 0
    var next: UInt32 = 0
    var previous: UInt32 = 0
    var kind: Kind = .used
  }

  /// What a page is, as far as its neighbours must know.
  enum Kind: UInt8 {
    case used = 0
    case freeEdge
    case slab
  }

  static let pageByteCount = 4096
  /// The range is made writable in steps of a megabyte.
  static let commitPageCount = 256

  /// The pages for which there are addresses.
  let pageCount: Int
  private(set) var committedPageCount = 0
  private let base: UnsafeMutableRawPointer?
  private let notes: UnsafeMutablePointer<Note>?

  /// Reserves addresses for `pageCount` pages; where the system lends fewer, for half of that, and
  /// so on; where it lends none, for none.
  init(pageCount: Int) {
    var wanted = pageCount
    while wanted >= Self.commitPageCount {
      let byteCount = Self.byteCount(pageCount: wanted)
      let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
      let memory = unsafe mmap(nil, byteCount, PROT_NONE, flags, -1, 0)
      if let memory = unsafe memory, unsafe memory != MAP_FAILED {
        // Huge pages would keep resident what was given back; refusal costs nothing but that.
        unsafe madvise(memory, byteCount, MADV_NOHUGEPAGE)
        unsafe base = memory
        unsafe notes = (memory + wanted * Self.pageByteCount)
          .bindMemory(to: Note.self, capacity: wanted)
        self.pageCount = wanted
        return
      }
      wanted /= 2
    }
    unsafe base = nil
    unsafe notes = nil
    self.pageCount = 0
  }

  /// Gives all of it back.
  func unmap() {
    guard let base = unsafe base else { return }
    // SAFETY: init made the mapping with this length, and the owner is going.
    unsafe munmap(base, Self.byteCount(pageCount: pageCount))
  }

  /// Makes the first `edge` pages and their notes writable; false where there is no memory.
  mutating func commit(upTo edge: Int) -> Bool {
    guard edge > committedPageCount else { return true }
    guard edge <= pageCount, let base = unsafe base, let notes = unsafe notes else { return false }
    let step = Self.commitPageCount
    let target = min((edge + step - 1) / step * step, pageCount)
    let access = PROT_READ | PROT_WRITE
    // SAFETY: both ranges lie inside the mapping: target <= pageCount.
    guard unsafe mprotect(base, target * Self.pageByteCount, access) == 0,
      unsafe mprotect(notes, Self.noteByteCount(pageCount: target), access) == 0
    else { return false }
    committedPageCount = target
    return true
  }

  /// The note of a committed page.
  func note(_ page: Int) -> UnsafeMutablePointer<Note> {
    guard let notes = unsafe notes, page >= 0, page < committedPageCount else {
      preconditionFailure("page \(page) lies beyond the arena")
    }
    // SAFETY: notes of committed pages are mapped and writable, and zero is a valid Note.
    return unsafe notes + page
  }

  /// The first byte of a committed page.
  func address(_ page: Int) -> UnsafeMutableRawPointer {
    guard let base = unsafe base, page >= 0, page < committedPageCount else {
      preconditionFailure("page \(page) lies beyond the arena")
    }
    return unsafe base + page * Self.pageByteCount
  }

  /// The distance of an address from the first page.
  func byteOffset(of address: UnsafeMutableRawPointer) -> Int {
    guard let base = unsafe base else { preconditionFailure("the arena has no memory") }
    return unsafe UnsafeRawPointer(base).distance(to: UnsafeRawPointer(address))
  }

  /// Makes pages resident in one go. Touched one by one, each would fault twice, the first time on
  /// a read, and the second would interrupt every other CPU that runs the process.
  static func populate(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    // SAFETY: whole pages of a private anonymous mapping. A kernel before 5.14 refuses, and then
    // they fault.
    _ = unsafe madvise(address, byteCount, MADV_POPULATE_WRITE)
  }

  /// Lets the kernel have the pages back; they are zero when next touched.
  static func giveBack(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    // SAFETY: whole pages of a private anonymous mapping, which the caller alone can reach.
    if unsafe madvise(address, byteCount, MADV_DONTNEED) != 0 {
      // Locked memory (mlockall) cannot be given back; the promise that it is zero still holds.
      unsafe memset(address, 0, byteCount)
    }
  }

  /// The bytes of the notes of `pageCount` pages, in whole pages.
  static func noteByteCount(pageCount: Int) -> Int {
    let byteCount = pageCount * MemoryLayout<Note>.stride
    return (byteCount + pageByteCount - 1) & ~(pageByteCount - 1)
  }

  private static func byteCount(pageCount: Int) -> Int {
    pageCount * pageByteCount + noteByteCount(pageCount: pageCount)
  }
}
