import Testing
import Varve
import VarveFormat

@Suite struct IndexLimitTests {
  /// Fills an index to its limit: what fails changes nothing, what is there can be overwritten and
  /// removed, and room that was made can be used.
  @Test func aFullIndexRefusesAndStaysUsable() throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let index = RecordIndex(shardCount: 4, byteLimit: 1 << 20)
    var keys: [KeyHash] = []
    var refused: [KeyHash] = []
    var exceeded = false
    while refused.count < 200 {
      let hash = random.keyHash()
      let before = (index.entryCount, index.usedByteCount, index.reservedByteCount)
      do throws(IndexFull) {
        _ = try index.upsert(hash, UInt64(keys.count + 1))
        keys.append(hash)
      } catch {
        #expect(error.byteLimit == 1 << 20 && error.neededByteCount > 0)
        #expect((index.entryCount, index.usedByteCount, index.reservedByteCount) == before)
        #expect(index.find(hash) == 0)
        refused.append(hash)
      }
      exceeded = exceeded || index.reservedByteCount > 1 << 20
    }
    #expect(!exceeded, "the limit was exceeded, seed \(seed)")
    index.checkInvariants()
    print("1 MiB holds \(keys.count) keys before the first refusals")
    #expect(keys.count > 30_000)
    let areOverwritten = try keys.enumerated().allSatisfy { number, hash in
      try index.upsert(hash, 1 << 40) == UInt64(number + 1)
    }
    #expect(areOverwritten, "seed \(seed)")
    let areRemoved = keys.prefix(keys.count * 9 / 10).allSatisfy {
      index.replace($0, expected: 1 << 40, with: 0)
    }
    #expect(areRemoved, "seed \(seed)")
    index.checkInvariants()
    for hash in refused { #expect(try index.upsert(hash, 3) == 0) }
    for hash in refused { #expect(index.find(hash) == 3) }
    #expect(index.reservedByteCount < 1 << 19, "memory was not given back, seed \(seed)")
  }

  @Test func anIndexWithoutMemoryHoldsNothing() throws {
    let index = RecordIndex(shardCount: 1, byteLimit: 0)
    let hash = KeyHash(fingerprint: 1, selector: 0)
    #expect(throws: IndexFull.self) { try index.upsert(hash, 1) }
    #expect(throws: IndexFull.self) { try index.prepareInsert(hash) }
    #expect(index.find(hash) == 0 && index.entryCount == 0)
    index.checkInvariants()
  }

  /// After `prepareInsert`, the upsert succeeds, whatever is removed in between.
  @Test func aPreparedInsertCannotFail() throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let index = RecordIndex(shardCount: 2, byteLimit: 100 << 10)
    var keys: [KeyHash] = []
    var refusals = 0
    for step in 0..<12_000 {
      let hash = random.keyHash()
      do throws(IndexFull) {
        try index.prepareInsert(hash)
      } catch {
        refusals += 1
        #expect(throws: IndexFull.self, "seed \(seed)") { try index.upsert(hash, 1) }
        continue
      }
      if step % 3 == 0, !keys.isEmpty {
        let removed = keys.swapRemove(at: random.below(keys.count))
        #expect(index.replace(removed, expected: 9, with: 0))
      }
      let used = index.usedByteCount
      _ = try index.upsert(hash, 9)
      #expect(index.usedByteCount == used, "a prepared upsert needed memory, seed \(seed)")
      keys.append(hash)
    }
    index.checkInvariants()
    #expect(refusals > 0)
  }

  /// Removing nearly everything does not take the room of prepared inserts away; once they have
  /// happened, the table shrinks again.
  @Test func preparedRoomOutlivesRemovals() throws {
    var random = IndexRandom(seed: drawSeed())
    let index = RecordIndex(shardCount: 1, byteLimit: 1 << 20)
    let keys = (0..<8000).map { _ in random.keyHash() }
    for hash in keys { _ = try index.upsert(hash, 1) }
    let batch = (0..<500).map { _ in random.keyHash() }
    try index.prepareInserts(batch)
    let used = index.usedByteCount
    #expect(keys.dropLast().allSatisfy { index.replace($0, expected: 1, with: 0) })
    for hash in batch { _ = try index.upsert(hash, 1) }
    #expect(index.usedByteCount == used, "prepared room was given away")
    #expect(index.replace(batch[0], expected: 1, with: 0))
    #expect(index.usedByteCount < used / 4)
    try index.prepareInserts(batch)
    index.releasePreparedInserts(batch)
    #expect(index.replace(batch[1], expected: 1, with: 0))
    index.checkInvariants()
  }

  /// Inserts prepared one by one add up.
  @Test func singlePromisesAddUp() throws {
    var random = IndexRandom(seed: drawSeed())
    let index = RecordIndex(shardCount: 1, byteLimit: 1 << 20)
    let keys = (0..<3000).map { _ in random.keyHash() }
    for hash in keys { try index.prepareInsert(hash) }
    let used = index.usedByteCount
    for hash in keys { _ = try index.upsert(hash, 1) }
    #expect(index.usedByteCount == used, "a prepared upsert needed memory")
    index.checkInvariants()
  }

  /// A batch is prepared whole or not at all, with repeated and present keys in it; removals of
  /// everything else in between do not take its room away.
  @Test func preparedBatchesCannotFail() throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let index = RecordIndex(shardCount: 4, byteLimit: 80 << 10)
    var keys: [KeyHash] = []
    var refusals = 0
    for round in 0..<100 {
      // Every tenth batch is larger than an empty index holds: it is refused for certain.
      let count = round % 10 == 9 ? 12_000 : random.below(2000)
      var batch = (0..<count).map { _ in random.keyHash() }
      batch += batch.prefix(100) + keys.suffix(random.below(500))
      let entryCount = index.entryCount
      do throws(IndexFull) {
        try index.prepareInserts(batch)
      } catch {
        refusals += 1
        #expect(index.entryCount == entryCount)
        index.checkInvariants()
        // The refused promises are gone: emptying the index gives everything back.
        #expect(keys.allSatisfy { index.replace($0, expected: 9, with: 0) })
        #expect(index.usedByteCount == 0, "seed \(seed)")
        keys = []
        continue
      }
      for hash in keys.prefix(keys.count / 3) {
        _ = index.replace(hash, expected: 9, with: 0)
      }
      if random.below(4) == 0 {
        index.releasePreparedInserts(batch)
      } else {
        // One that throws here ends the test: the promise was broken.
        for hash in batch { _ = try index.upsert(hash, 9) }
        keys = Array(Set(keys + batch)).sorted { $0.fingerprint < $1.fingerprint }
      }
      keys = keys.filter { index.find($0) != 0 }
      index.checkInvariants()
    }
    #expect(refusals >= 10, "seed \(seed)")
    #expect(index.entryCount == keys.count)
  }

  /// The page allocator against a model: blocks never overlap, are zero, and all come back.
  @Test func theArenaLendsEachByteOnce() throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let arena = PageArena(byteLimit: 24 << 20, overheadByteCount: 0)
    var lent: [(block: PageArena.Block, tag: UInt64)] = []
    var refusals = 0
    for step in 0..<10_000 {
      let isGrowing = step / 2500 % 2 == 0
      if lent.isEmpty || random.below(10) < (isGrowing ? 7 : 3) {
        let pageCount = 1 + random.below(20)
        let byteCount = random.below(3) == 0 ? 64 + random.below(2000) : 4096 * pageCount
        guard let block = try? arena.allocate(byteCount: byteCount) else {
          refusals += 1
          continue
        }
        try expectZero(block, seed: seed)
        lent.append((block, random.next()))
        stamp(block, lent[lent.count - 1].tag)
      } else {
        let (block, tag) = lent.swapRemove(at: random.below(lent.count))
        try expectStamp(block, tag, seed: seed)
        arena.free(block)
      }
      if step % 500 == 0 { arena.checkInvariants() }
      guard step % 97 == 0 else { continue }
      #expect(arena.reservedByteCount <= 24 << 20, "seed \(seed)")
      #expect(arena.usedByteCount == lent.reduce(0) { $0 + $1.block.byteCount }, "seed \(seed)")
    }
    for (block, tag) in lent {
      try expectStamp(block, tag, seed: seed)
      arena.free(block)
    }
    arena.checkInvariants()
    #expect(arena.usedByteCount == 0 && arena.spanByteCount == 0)
    #expect(refusals > 0 || arena.reservedByteCount < 1 << 20)
  }

  private func words(_ block: PageArena.Block) -> UnsafeMutableBufferPointer<UInt64> {
    UnsafeMutableBufferPointer(
      start: block.base.assumingMemoryBound(to: UInt64.self), count: block.byteCount / 8)
  }

  private func expectZero(_ block: PageArena.Block, seed: UInt64) throws {
    let words = words(block)
    let isZero = stride(from: 0, to: words.count, by: 8).allSatisfy { words[$0] == 0 }
    try #require(isZero, "a block is not zero, seed \(seed)")
  }

  /// Marks each line of the block, so that an overlap shows.
  private func stamp(_ block: PageArena.Block, _ tag: UInt64) {
    let words = words(block)
    for number in stride(from: 0, to: words.count, by: 8) { words[number] = tag ^ UInt64(number) }
  }

  private func expectStamp(_ block: PageArena.Block, _ tag: UInt64, seed: UInt64) throws {
    let words = words(block)
    let isWhole = stride(from: 0, to: words.count, by: 8)
      .allSatisfy { words[$0] == tag ^ UInt64($0) }
    try #require(isWhole, "blocks overlap, seed \(seed)")
  }
}

extension Array {
  /// Removes an element and puts the last one in its place.
  fileprivate mutating func swapRemove(at index: Int) -> Element {
    swapAt(index, count - 1)
    return removeLast()
  }
}
