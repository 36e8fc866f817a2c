// One shard of the record cache: S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you
// need for cache eviction", SOSP 2023), by bytes. New records enter a small queue of a tenth of the
// memory; those read twice there move on to the main queue, the others leave and are remembered as
// ghosts; a ghost that comes back enters the main queue at once. The main queue gives a record
// another round for each of up to three reads. Hits only raise a counter: no queue moves.
//
// Records stand in an array of nodes linked to two queues, found through a table of their own (open
// addressing, linear probing, half full at most, 8 bytes a slot), so a hit costs no Dictionary.
//
// Invariants
// - residentByteCount <= byteLimit after every call: records and the arrays' capacity together.
// - A node is in the table exactly when it is in a queue; all others are in the free list.

/// What the lock of a cache shard guards.
struct CacheShard: Sendable {
  /// What a record is known by: where it lies, and the generation of its segment.
  struct Key: Hashable, Sendable {
    let locationWord: UInt64
    let generation: UInt32

    /// All bits depend on all bits; not keyed, since users do not choose addresses.
    var hash: UInt64 {
      var word = locationWord ^ UInt64(generation) &* 0x9e37_79b9_7f4a_7c15
      word = (word ^ word >> 32) &* 0xd6e8_feb8_6659_fd93
      word = (word ^ word >> 32) &* 0xd6e8_feb8_6659_fd93
      return word ^ word >> 32
    }
  }

  private enum Queue: UInt8 {
    case free
    case small
    case main
  }

  private struct Node {
    var key = Key(locationWord: 0, generation: 0)
    var next: UInt32 = none
    var previous: UInt32 = none
    var record: CachedRecord?
    var frequency: UInt8 = 0
    var queue = Queue.free
  }

  private struct Links {
    /// The newest.
    var head: UInt32 = none
    /// The oldest, the next to be judged.
    var tail: UInt32 = none
    var recordByteCount = 0
    var count = 0
  }

  private static let none = UInt32.max
  /// More reads are not counted.
  private static let maximumFrequency: UInt8 = 3
  /// Reads in the small queue that lead to the main queue.
  private static let promotingFrequency: UInt8 = 2
  private static let smallestTableCount = 16

  private(set) var byteLimit: Int
  private(set) var hitCount: UInt64 = 0
  private(set) var missCount: UInt64 = 0
  private(set) var evictionCount: UInt64 = 0
  private var nodes: [Node] = []
  private var freeHead = none
  /// The high half of the hash above the node's number; `UInt64.max` is empty.
  private var table: [UInt64] = []
  private var ghosts = GhostQueue()
  private var small = Links()
  private var main = Links()

  init(byteLimit: Int) { self.byteLimit = byteLimit }

  /// Records and the arrays that keep them.
  var residentByteCount: Int {
    small.recordByteCount + main.recordByteCount + overheadByteCount
  }

  var recordCount: Int { small.count + main.count }

  private var overheadByteCount: Int {
    nodes.capacity * MemoryLayout<Node>.stride + table.capacity * MemoryLayout<UInt64>.stride
      + ghosts.byteCount
  }

  // MARK: Operations

  /// The record, counted as read once more.
  mutating func get(_ key: Key, hash: UInt64) -> CachedRecord? {
    guard let slot = slot(of: key, hash: hash) else {
      missCount &+= 1
      return nil
    }
    hitCount &+= 1
    let number = nodeNumber(inSlot: slot)
    if nodes[number].frequency < Self.maximumFrequency { nodes[number].frequency += 1 }
    return nodes[number].record
  }

  /// Puts a record in, in place of one with its key, and evicts others until the limit holds.
  mutating func insert(_ record: CachedRecord, key: Key, hash: UInt64) {
    let byteCount = record.residentByteCount
    guard byteCount <= byteLimit / 8 else {
      remove(key, hash: hash)
      return
    }
    if let slot = slot(of: key, hash: hash) {
      let number = nodeNumber(inSlot: slot)
      let before = nodes[number].record?.residentByteCount ?? 0
      nodes[number].record = record
      updateLinks(nodes[number].queue) { $0.recordByteCount += byteCount - before }
      evict(toFit: 0)
      return
    }
    let isGhost = ghosts.take(hash)
    evict(toFit: byteCount)
    makeRoomForNode()
    // Larger arrays may have taken the room.
    evict(toFit: byteCount)
    guard residentByteCount + byteCount <= byteLimit, freeHead != Self.none else {
      if recordCount == 0, residentByteCount > byteLimit { removeAll() }
      return
    }
    let number = Int(freeHead)
    freeHead = nodes[number].next
    nodes[number].key = key
    nodes[number].record = record
    nodes[number].frequency = 0
    push(number, onto: isGhost ? .main : .small)
    insertSlot(hash: hash, number: number)
  }

  /// Takes a record out, if it is there.
  @discardableResult
  mutating func remove(_ key: Key, hash: UInt64) -> CachedRecord? {
    guard let slot = slot(of: key, hash: hash) else { return nil }
    let number = nodeNumber(inSlot: slot)
    let record = nodes[number].record
    drop(number)
    return record
  }

  /// Empties the shard and gives its memory back; the counts stay.
  mutating func removeAll() {
    nodes = []
    table = []
    ghosts = GhostQueue()
    freeHead = Self.none
    small = Links()
    main = Links()
  }

  /// Sets the limit. A lower one evicts at once, and the arrays are built anew for what is left.
  mutating func setByteLimit(_ newLimit: Int) {
    let isLower = newLimit < byteLimit
    byteLimit = newLimit
    guard isLower else { return }
    let nodeByteCount = MemoryLayout<Node>.stride + 5 * MemoryLayout<UInt64>.stride
    let fixedByteCount = 2048
    while recordCount > 0,
      small.recordByteCount + main.recordByteCount + recordCount * nodeByteCount + fixedByteCount
        > newLimit
    {
      evictOne()
    }
    rebuild()
    evict(toFit: 0)
    if recordCount == 0, residentByteCount > newLimit { removeAll() }
  }

  // MARK: Eviction

  private mutating func evict(toFit byteCount: Int) {
    while residentByteCount + byteCount > byteLimit, recordCount > 0 { evictOne() }
  }

  /// Takes one record out by the rules of S3-FIFO. Bounded: each pass lowers a record's counter,
  /// moves it from the small to the main queue, or evicts it.
  private mutating func evictOne() {
    while recordCount > 0 {
      let takesSmall =
        main.count == 0 || small.count > 0 && small.recordByteCount * 10 >= byteLimit
      let number = Int(takesSmall ? small.tail : main.tail)
      let frequency = nodes[number].frequency
      if takesSmall, frequency >= Self.promotingFrequency {
        unlink(number)
        nodes[number].frequency = 0
        push(number, onto: .main)
      } else if !takesSmall, frequency > 0 {
        unlink(number)
        nodes[number].frequency = frequency - 1
        push(number, onto: .main)
      } else {
        if takesSmall { ghosts.add(nodes[number].key.hash, horizon: max(main.count, 1)) }
        drop(number)
        evictionCount &+= 1
        return
      }
    }
  }

  private mutating func drop(_ number: Int) {
    removeSlot(of: number)
    unlink(number)
    nodes[number].record = nil
    nodes[number].queue = .free
    nodes[number].next = freeHead
    freeHead = UInt32(number)
  }

  // MARK: Queues

  private mutating func push(_ number: Int, onto queue: Queue) {
    let byteCount = nodes[number].record?.residentByteCount ?? 0
    let head = queue == .small ? small.head : main.head
    nodes[number].queue = queue
    nodes[number].next = head
    nodes[number].previous = Self.none
    if head != Self.none { nodes[Int(head)].previous = UInt32(number) }
    updateLinks(queue) { links in
      links.head = UInt32(number)
      if links.tail == Self.none { links.tail = UInt32(number) }
      links.recordByteCount += byteCount
      links.count += 1
    }
  }

  private mutating func unlink(_ number: Int) {
    let (next, previous) = (nodes[number].next, nodes[number].previous)
    let byteCount = nodes[number].record?.residentByteCount ?? 0
    if next != Self.none { nodes[Int(next)].previous = previous }
    if previous != Self.none { nodes[Int(previous)].next = next }
    updateLinks(nodes[number].queue) { links in
      if previous == Self.none { links.head = next }
      if next == Self.none { links.tail = previous }
      links.recordByteCount -= byteCount
      links.count -= 1
    }
  }

  private mutating func updateLinks(_ queue: Queue, _ body: (inout Links) -> Void) {
    if queue == .small { body(&small) } else { body(&main) }
  }

  // MARK: Nodes and table

  /// Sees to it that there is a free node, a table at most half full, and ghosts for the main
  /// queue.
  private mutating func makeRoomForNode() {
    guard freeHead == Self.none else { return }
    let first = nodes.count
    let added = max(Self.smallestTableCount / 2, first / 2)
    nodes.reserveCapacity(first + added)
    for number in first..<(first + added) {
      nodes.append(Node(next: freeHead))
      freeHead = UInt32(number)
    }
    sizeTables()
  }

  private mutating func sizeTables() {
    var tableCount = Self.smallestTableCount
    while tableCount < nodes.count * 2 { tableCount *= 2 }
    ghosts.resize(toHold: nodes.count)
    guard tableCount != table.count else { return }
    table = [UInt64](repeating: .max, count: tableCount)
    for number in nodes.indices where nodes[number].queue != .free {
      insertSlot(hash: nodes[number].key.hash, number: number)
    }
  }

  /// Builds the arrays anew, just large enough, keeping both queues in order.
  private mutating func rebuild() {
    var kept: [(node: Node, queue: Queue)] = []
    kept.reserveCapacity(recordCount)
    for (queue, tail) in [(Queue.small, small.tail), (Queue.main, main.tail)] {
      var number = tail
      while number != Self.none {
        kept.append((nodes[Int(number)], queue))
        number = nodes[Int(number)].previous
      }
    }
    removeAll()
    guard !kept.isEmpty else { return }
    nodes.reserveCapacity(kept.count)
    for (number, (node, queue)) in kept.enumerated() {
      nodes.append(node)
      push(number, onto: queue)
    }
    sizeTables()
  }

  @inline(__always)
  private func slot(of key: Key, hash: UInt64) -> Int? {
    guard !table.isEmpty else { return nil }
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    // At most half of the slots are used, so an empty one ends the search.
    while table[slot] != .max {
      if table[slot] >> 32 == hash >> 32, nodes[nodeNumber(inSlot: slot)].key == key {
        return slot
      }
      slot = (slot + 1) & mask
    }
    return nil
  }

  @inline(__always)
  private func nodeNumber(inSlot slot: Int) -> Int {
    Int(UInt32(truncatingIfNeeded: table[slot]))
  }

  private mutating func insertSlot(hash: UInt64, number: Int) {
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while table[slot] != .max { slot = (slot + 1) & mask }
    table[slot] = hash & ~0xffff_ffff | UInt64(number)
  }

  /// Empties the slot of a node and shifts back those that had to pass it.
  private mutating func removeSlot(of number: Int) {
    let key = nodes[number].key
    guard var gap = slot(of: key, hash: key.hash) else { return }
    let mask = table.count - 1
    var slot = (gap + 1) & mask
    while table[slot] != .max {
      let home = Int(truncatingIfNeeded: nodes[nodeNumber(inSlot: slot)].key.hash) & mask
      if (slot - home) & mask >= (slot - gap) & mask {
        table[gap] = table[slot]
        gap = slot
      }
      slot = (slot + 1) & mask
    }
    table[gap] = .max
  }

  // MARK: Checks

  /// Traps unless the invariants hold.
  func checkInvariants() {
    var listed = 0
    for (queue, links) in [(Queue.small, small), (Queue.main, main)] {
      var byteCount = 0
      var count = 0
      var number = links.head
      while number != Self.none {
        let node = nodes[Int(number)]
        precondition(node.queue == queue, "a node is in the wrong queue")
        precondition(slot(of: node.key, hash: node.key.hash) != nil, "a node cannot be found")
        byteCount += node.record?.residentByteCount ?? 0
        count += 1
        number = node.next
      }
      precondition(count == links.count, "a queue is miscounted")
      precondition(byteCount == links.recordByteCount, "the bytes of a queue are miscounted")
      listed += count
    }
    precondition(table.count { $0 != .max } == listed, "the table holds more than the queues")
    precondition(residentByteCount <= byteLimit, "the limit is exceeded")
  }
}
