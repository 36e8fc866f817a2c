import Glibc

/// What the arena's lock guards: the mapping, and the lists of free runs and of slab pages.
struct PageArenaState: Sendable {
  static let pageByteCount = PageMapping.pageByteCount
  /// Runs from 1 to 254 pages have a list for each length; list 255 holds all longer ones.
  static let runListCount = 256
  /// Blocks of 64 bytes to half a page: a list of pages with room for each power of two.
  static let slabClassCount = 6
  /// "No page", at the ends of a list.
  static let none = UInt32.max

  var byteLimit: Int
  let overheadByteCount: Int
  private(set) var mapping: PageMapping
  private(set) var edgePage = 0
  private(set) var usedByteCount = 0
  private var highestEdgePage = 0
  private var usedPageCount = 0
  private var shortFreePageCount = 0
  private var heads = [UInt32](repeating: none, count: runListCount + slabClassCount)
  private var nonEmptyRunLists = InlineArray<4, UInt64>(repeating: 0)

  /// Reserves four times the limit: free runs given back cost addresses only.
  init(byteLimit: Int, overheadByteCount: Int) {
    self.byteLimit = byteLimit
    self.overheadByteCount = overheadByteCount
    let limitPageCount = min(max(byteLimit, 0), 1 << 40) / Self.pageByteCount
    mapping = PageMapping(pageCount: limitPageCount * 4 + PageMapping.commitPageCount)
  }

  /// See the arena's property of this name.
  var reservedByteCount: Int {
    (usedPageCount + shortFreePageCount) * Self.pageByteCount
      + PageMapping.noteByteCount(pageCount: highestEdgePage) + overheadByteCount
  }

  // MARK: Runs

  /// Lends a run of zeroed pages.
  mutating func allocateRun(
    pageCount: Int, mayExceedLimit: Bool
  ) throws(IndexFull) -> PageArena.Block {
    let page = try takeRun(pageCount: pageCount, mayExceedLimit: mayExceedLimit)
    usedByteCount += pageCount * Self.pageByteCount
    return unsafe PageArena.Block(
      base: mapping.address(page), byteCount: pageCount * Self.pageByteCount)
  }

  /// Takes a run back, which the caller has given back to the kernel if it is long.
  mutating func freeRun(_ block: PageArena.Block, pageCount: Int) {
    usedByteCount -= block.byteCount
    putBack(page: pageIndex(of: block), pageCount: pageCount)
  }

  /// Takes the shortest free run that fits, or moves the edge; the pages are zero afterwards.
  private mutating func takeRun(pageCount: Int, mayExceedLimit: Bool) throws(IndexFull) -> Int {
    guard let start = bestFit(pageCount: pageCount) else {
      return try takeFromEdge(pageCount: pageCount, mayExceedLimit: mayExceedLimit)
    }
    let runPageCount = Int(unsafe mapping.note(start).pointee.value)
    let restPageCount = runPageCount - pageCount
    let wasClean = runPageCount >= PageArena.cleanRunPageCount
    let restIsShort = restPageCount < PageArena.cleanRunPageCount
    let added = pageCount - (wasClean ? 0 : runPageCount) + (restIsShort ? restPageCount : 0)
    try checkLimit(addedByteCount: added * Self.pageByteCount, mayExceedLimit: mayExceedLimit)
    unlink(page: start, pageCount: runPageCount)
    if restPageCount > 0 { link(page: start + pageCount, pageCount: restPageCount) }
    usedPageCount += pageCount
    if !wasClean {
      // SAFETY: the run is ours from here on, and `pageCount` pages long.
      unsafe memset(mapping.address(start), 0, pageCount * Self.pageByteCount)
    }
    return start
  }

  private mutating func takeFromEdge(
    pageCount: Int, mayExceedLimit: Bool
  ) throws(IndexFull) -> Int {
    let start = edgePage
    let newEdge = start + pageCount
    let newHighest = max(newEdge, highestEdgePage)
    let moreNoteByteCount =
      PageMapping.noteByteCount(pageCount: newHighest)
      - PageMapping.noteByteCount(pageCount: highestEdgePage)
    let added = pageCount * Self.pageByteCount + moreNoteByteCount
    try checkLimit(addedByteCount: added, mayExceedLimit: mayExceedLimit)
    guard mapping.commit(upTo: newEdge) else {
      throw IndexFull(neededByteCount: added, byteLimit: byteLimit)
    }
    edgePage = newEdge
    highestEdgePage = newHighest
    usedPageCount += pageCount
    return start
  }

  private func checkLimit(addedByteCount: Int, mayExceedLimit: Bool) throws(IndexFull) {
    guard !mayExceedLimit, addedByteCount > byteLimit - reservedByteCount else { return }
    throw IndexFull(neededByteCount: addedByteCount, byteLimit: byteLimit)
  }

  /// Joins pages with their free neighbours; where the result is long or reaches the edge, its
  /// short pieces are given back too (the long ones are clean already).
  private mutating func putBack(page: Int, pageCount: Int) {
    usedPageCount -= pageCount
    let below = page > 0 ? freeRunPageCount(touching: page - 1) : 0
    let end = page + pageCount
    let above = end < edgePage ? freeRunPageCount(touching: end) : 0
    if below > 0 { unlink(page: page - below, pageCount: below) }
    if above > 0 { unlink(page: end, pageCount: above) }
    let joinedPageCount = below + pageCount + above
    let reachesEdge = end + above == edgePage
    if reachesEdge || joinedPageCount >= PageArena.cleanRunPageCount {
      giveBackIfShort(page: page - below, pageCount: below)
      giveBackIfShort(page: page, pageCount: pageCount)
      giveBackIfShort(page: end, pageCount: above)
    }
    if reachesEdge {
      edgePage = page - below
    } else {
      link(page: page - below, pageCount: joinedPageCount)
    }
  }

  private func freeRunPageCount(touching page: Int) -> Int {
    unsafe mapping.note(page).pointee.kind == .freeEdge
      ? Int(unsafe mapping.note(page).pointee.value) : 0
  }

  private func giveBackIfShort(page: Int, pageCount: Int) {
    guard pageCount > 0, pageCount < PageArena.cleanRunPageCount else { return }
    unsafe PageMapping.giveBack(
      mapping.address(page), byteCount: pageCount * Self.pageByteCount)
  }

  // MARK: Slabs

  /// Lends a zeroed piece of a page that is shared by blocks of one power of two.
  mutating func allocateUnits(
    byteCount: Int, mayExceedLimit: Bool
  ) throws(IndexFull) -> PageArena.Block {
    let list = Self.slabList(byteCount: byteCount)
    if heads[list] == Self.none {
      let page = try takeRun(pageCount: 1, mayExceedLimit: mayExceedLimit)
      unsafe mapping.note(page).pointee.kind = .slab
      unsafe mapping.note(page).pointee.value = .max
      push(page, onto: list)
    }
    let page = Int(heads[list])
    let freeUnits = unsafe mapping.note(page).pointee.value
    let unit = freeUnits.trailingZeroBitCount
    let left = freeUnits & ~(Self.unitMask(byteCount: byteCount) << UInt64(unit))
    unsafe mapping.note(page).pointee.value = left
    if left == 0 { remove(page, from: list) }
    usedByteCount += byteCount
    let block = unsafe PageArena.Block(
      base: mapping.address(page) + unit * 64, byteCount: byteCount)
    // SAFETY: the units were free, so they are ours; an earlier user may have left bytes there.
    unsafe memset(block.base, 0, byteCount)
    return block
  }

  /// Takes a piece of a page back, and the page with its last one.
  mutating func freeUnits(_ block: PageArena.Block) {
    let list = Self.slabList(byteCount: block.byteCount)
    let page = pageIndex(of: block)
    let unit = unsafe mapping.byteOffset(of: block.base) % Self.pageByteCount / 64
    let mask = Self.unitMask(byteCount: block.byteCount) << UInt64(unit)
    let before = unsafe mapping.note(page).pointee.value
    precondition(
      unsafe mapping.note(page).pointee.kind == .slab && before & mask == 0,
      "a block is freed once")
    usedByteCount -= block.byteCount
    unsafe mapping.note(page).pointee.value = before | mask
    if before == 0 { push(page, onto: list) }
    guard before | mask == .max else { return }
    remove(page, from: list)
    unsafe mapping.note(page).pointee.kind = .used
    putBack(page: page, pageCount: 1)
  }

  private static func slabList(byteCount: Int) -> Int {
    runListCount + (byteCount / 64).trailingZeroBitCount
  }

  private static func unitMask(byteCount: Int) -> UInt64 {
    (1 << UInt64(byteCount / 64)) - 1
  }

  private func pageIndex(of block: PageArena.Block) -> Int {
    let page = unsafe mapping.byteOffset(of: block.base) / Self.pageByteCount
    precondition(page >= 0 && page < edgePage, "the block is not of this arena")
    return page
  }

  // MARK: Lists

  private func bestFit(pageCount: Int) -> Int? {
    let lastList = Self.runListCount - 1
    guard let list = firstRunList(from: min(pageCount, lastList)) else { return nil }
    guard list == lastList else { return Int(heads[list]) }
    var best: Int?
    var bestPageCount = Int.max
    var candidate = heads[lastList]
    // Bounded by the number of free runs of a megabyte and more.
    while candidate != Self.none {
      let note = unsafe mapping.note(Int(candidate)).pointee
      if note.value >= pageCount, note.value < bestPageCount {
        best = Int(candidate)
        bestPageCount = Int(note.value)
      }
      candidate = note.next
    }
    return best
  }

  private func firstRunList(from first: Int) -> Int? {
    var list = first
    while list < Self.runListCount {
      let rest = nonEmptyRunLists[list / 64] >> UInt64(list % 64)
      if rest != 0 { return list + rest.trailingZeroBitCount }
      list = (list / 64 + 1) * 64
    }
    return nil
  }

  private mutating func link(page: Int, pageCount: Int) {
    let list = min(pageCount, Self.runListCount - 1)
    for edge in [page, page + pageCount - 1] {
      unsafe mapping.note(edge).pointee.kind = .freeEdge
      unsafe mapping.note(edge).pointee.value = UInt64(pageCount)
    }
    push(page, onto: list)
    nonEmptyRunLists[list / 64] |= 1 << UInt64(list % 64)
    if pageCount < PageArena.cleanRunPageCount { shortFreePageCount += pageCount }
  }

  private mutating func unlink(page: Int, pageCount: Int) {
    let list = min(pageCount, Self.runListCount - 1)
    remove(page, from: list)
    if heads[list] == Self.none { nonEmptyRunLists[list / 64] &= ~(1 << UInt64(list % 64)) }
    unsafe mapping.note(page).pointee.kind = .used
    unsafe mapping.note(page + pageCount - 1).pointee.kind = .used
    if pageCount < PageArena.cleanRunPageCount { shortFreePageCount -= pageCount }
  }

  private mutating func push(_ page: Int, onto list: Int) {
    let head = heads[list]
    unsafe mapping.note(page).pointee.next = head
    unsafe mapping.note(page).pointee.previous = Self.none
    if head != Self.none { unsafe mapping.note(Int(head)).pointee.previous = UInt32(page) }
    heads[list] = UInt32(page)
  }

  private mutating func remove(_ page: Int, from list: Int) {
    let next = unsafe mapping.note(page).pointee.next
    let previous = unsafe mapping.note(page).pointee.previous
    if next != Self.none { unsafe mapping.note(Int(next)).pointee.previous = previous }
    if previous == Self.none {
      heads[list] = next
    } else {
      unsafe mapping.note(Int(previous)).pointee.next = next
    }
  }

  // MARK: Checks

  /// Traps unless the lists agree with the notes and the counts with the lists.
  func checkInvariants() {
    var freePages = 0
    var shortPages = 0
    for list in 0..<Self.runListCount {
      let bit = nonEmptyRunLists[list / 64] >> UInt64(list % 64) & 1
      precondition((heads[list] != Self.none) == (bit == 1), "the bit of a list is wrong")
      var page = heads[list]
      while page != Self.none {
        let first = unsafe mapping.note(Int(page)).pointee
        let pageCount = Int(first.value)
        let last = unsafe mapping.note(Int(page) + pageCount - 1).pointee
        precondition(first.kind == .freeEdge && last.kind == .freeEdge, "a run is not marked")
        precondition(last.value == first.value, "the ends of a run disagree")
        precondition(Int(page) + pageCount < edgePage, "a free run reaches the edge")
        precondition(
          freeRunPageCount(touching: Int(page) + pageCount) == 0, "neighbours are not joined")
        freePages += pageCount
        if pageCount < PageArena.cleanRunPageCount { shortPages += pageCount }
        page = first.next
      }
    }
    precondition(freePages + usedPageCount == edgePage, "a page is lost")
    precondition(shortPages == shortFreePageCount, "short free runs are miscounted")
    precondition(usedByteCount <= usedPageCount * Self.pageByteCount, "more used than there is")
  }
}
