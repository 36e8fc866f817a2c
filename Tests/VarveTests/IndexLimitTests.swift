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
      #expect(index.reservedByteCount <= 1 << 20, "seed \(seed)")
    }
    index.checkInvariants()
    print("1 MiB holds \(keys.count) keys before the first refusals")
    #expect(keys.count > 30_000)
    for (number, hash) in keys.enumerated() {
      #expect(try index.upsert(hash, 1 << 40) == UInt64(number + 1))
    }
    for hash in keys.prefix(keys.count * 9 / 10) {
      #expect(index.replace(hash, expected: 1 << 40, with: 0))
    }
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
    let index = RecordIndex(shardCount: 2, byteLimit: 300 << 10)
    var keys: [KeyHash] = []
    var refusals = 0
    for step in 0..<60_000 {
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
      #expect(throws: Never.self, "seed \(seed)") { try index.upsert(hash, 9) }
      #expect(index.usedByteCount == used, "a prepared upsert needed memory, seed \(seed)")
      keys.append(hash)
    }
    index.checkInvariants()
    #expect(refusals > 0)
  }

  /// A batch is prepared whole or not at all, with repeated and present keys in it; removals of
  /// everything else in between do not take its room away.
  @Test func preparedBatchesCannotFail() throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let index = RecordIndex(shardCount: 4, byteLimit: 512 << 10)
    var keys: [KeyHash] = []
    var refusals = 0
    for _ in 0..<200 {
      var batch = (0..<random.below(2000)).map { _ in random.keyHash() }
      batch += batch.prefix(100) + keys.suffix(random.below(500))
      let entryCount = index.entryCount
      do throws(IndexFull) {
        try index.prepareInserts(batch)
      } catch {
        refusals += 1
        #expect(index.entryCount == entryCount)
        index.checkInvariants()
        // The refused promises are gone: emptying the index gives everything back.
        for hash in keys { #expect(index.replace(hash, expected: 9, with: 0)) }
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
        for hash in batch {
          #expect(throws: Never.self, "seed \(seed)") { try index.upsert(hash, 9) }
        }
        keys = Array(Set(keys + batch)).sorted { $0.fingerprint < $1.fingerprint }
      }
      keys = keys.filter { index.find($0) != 0 }
      index.checkInvariants()
    }
    #expect(refusals > 0)
    #expect(index.entryCount == keys.count)
  }

  /// The page allocator against a model: blocks never overlap, are zero, and all come back.
  @Test func theArenaLendsEachByteOnce() throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let arena = PageArena(byteLimit: 24 << 20, overheadByteCount: 0)
    var lent: [(block: PageArena.Block, tag: UInt64)] = []
    var refusals = 0
    for step in 0..<20_000 {
      let isGrowing = step / 4000 % 2 == 0
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
      #expect(arena.reservedByteCount <= 24 << 20, "seed \(seed)")
      #expect(arena.usedByteCount == lent.reduce(0) { $0 + $1.block.byteCount } || step % 97 != 0)
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
