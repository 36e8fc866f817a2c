import Synchronization

// The memory of the index's tables. malloc kept 20 % more resident than tables of these shapes
// need, so the index has an allocator of its own: one reserved range of addresses, cut
// into runs of 4 KiB pages, best fit, neighbours joined when freed; tables below a page share one.
//
// Invariants
// - A page below the edge belongs to one used run, one slab page or one free run; no two free runs
//   touch, and none touches the edge.
// - A free run of `cleanRunPageCount` pages or more is clean: given back to the kernel, not
//   resident, and zero when next touched. So `residentPageCount` counts the used pages and the
//   shorter free runs.
// - Memory once reserved stays mapped until the arena goes: a stale pointer reads zeros or another
//   table, never faults. Optimistic readers may rely on that.
// - Everything but the `madvise` of a run that nobody else can reach happens under one lock.

/// A page-run allocator with a byte limit.
@safe package final class PageArena: Sendable {
  /// A piece of memory that the arena lends out: 64-byte units, zeroed.
  @safe package struct Block: @unchecked Sendable {
    // SAFETY: a plain address; the shard that holds the block orders all access to it.
    /// The first byte, aligned to 64.
    package let base: UnsafeMutableRawPointer
    /// The bytes lent.
    package let byteCount: Int
  }

  /// A run of free pages this long is given back to the kernel.
  package static let cleanRunPageCount = 4
  package static let pageByteCount = PageMapping.pageByteCount

  private let state: Mutex<PageArenaState>

  /// An arena that keeps at most `byteLimit` bytes resident, `overheadByteCount` of which the
  /// caller uses elsewhere and counts here.
  package init(byteLimit: Int, overheadByteCount: Int) {
    state = Mutex(PageArenaState(byteLimit: byteLimit, overheadByteCount: overheadByteCount))
  }

  deinit {
    state.withLock { $0.mapping.unmap() }
  }

  /// The number of bytes of a block that holds at least `byteCount`: powers of two from 64 up to
  /// half a page, then whole pages.
  package static func roundedByteCount(_ byteCount: Int) -> Int {
    guard byteCount <= pageByteCount / 2 else {
      return (byteCount + pageByteCount - 1) & ~(pageByteCount - 1)
    }
    var rounded = 64
    while rounded < byteCount { rounded <<= 1 }
    return rounded
  }

  /// Lends zeroed memory of `roundedByteCount(byteCount)` bytes.
  ///
  /// - Parameters:
  ///   - byteCount: The bytes asked for, at least 1.
  ///   - mayExceedLimit: True for the short time in which a table is copied into a smaller one.
  /// - Returns: The block, to be given to `free`.
  /// - Throws: `IndexFull` where the limit, or the system, has no room; nothing changed.
  package func allocate(byteCount: Int, mayExceedLimit: Bool = false) throws(IndexFull) -> Block {
    let rounded = Self.roundedByteCount(byteCount)
    let block = try state.withLock { state throws(IndexFull) in
      rounded < Self.pageByteCount
        ? try state.allocateUnits(byteCount: rounded, mayExceedLimit: mayExceedLimit)
        : try state.allocateRun(
          pageCount: rounded / Self.pageByteCount, mayExceedLimit: mayExceedLimit)
    }
    if rounded >= Self.cleanRunPageCount * Self.pageByteCount {
      unsafe PageMapping.populate(block.base, byteCount: rounded)
    }
    return block
  }

  /// Takes a block back. Nobody may write to it any more.
  package func free(_ block: Block) {
    let pageCount = block.byteCount / Self.pageByteCount
    if pageCount >= Self.cleanRunPageCount {
      // SAFETY: the block is still ours alone, so wiping it before the lock races with nobody.
      unsafe PageMapping.giveBack(block.base, byteCount: block.byteCount)
    }
    state.withLock { state in
      if pageCount == 0 {
        state.freeUnits(block)
      } else {
        state.freeRun(block, pageCount: pageCount)
      }
    }
  }

  /// The bytes that it may keep resident. A lower limit takes nothing back.
  package var byteLimit: Int {
    get { state.withLock { $0.byteLimit } }
    set { state.withLock { $0.byteLimit = newValue } }
  }

  /// Bytes resident or counted as such: used pages, short free runs, notes, the caller's overhead.
  package var reservedByteCount: Int { state.withLock { $0.reservedByteCount } }
  /// Bytes lent out.
  package var usedByteCount: Int { state.withLock { $0.usedByteCount } }
  /// Bytes of addresses between the first page and the edge, free runs included.
  package var spanByteCount: Int { state.withLock { $0.edgePage * Self.pageByteCount } }

  /// Traps when an invariant does not hold.
  package func checkInvariants() { state.withLock { $0.checkInvariants() } }
}
