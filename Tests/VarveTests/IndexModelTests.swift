import Testing
import Varve
import VarveFormat

@Suite struct IndexModelTests {
  /// Random operations over keys that come and go, against a dictionary: phases that fill the index
  /// alternate with phases that empty it, so that shards grow and shrink.
  @Test(arguments: [(1, 250_000), (8, 1_000_000)])
  func randomOperationsAgreeWithADictionary(shardCount: Int, stepCount: Int) throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let keys = (0..<30_000).map { _ in random.keyHash() }
    let index = RecordIndex(shardCount: shardCount, byteLimit: 64 << 20)
    var model: [KeyHash: UInt64] = [:]
    var peakByteCount = 0
    for step in 0..<stepCount {
      let isFilling = step / 110_000 % 2 == 0
      let hash = keys[random.below(keys.count)]
      let current = model[hash] ?? 0
      let word = random.next() | 1
      var agrees = true
      let draw = random.below(8)
      switch draw {
      case 0, 1:
        agrees = index.find(hash) == current
      case 2 where current != 0:
        agrees = !index.replace(hash, expected: current ^ 2, with: 0)
        agrees = agrees && index.replace(hash, expected: current, with: word)
        model[hash] = word
      case 2:
        agrees = !index.replace(hash, expected: 7, with: word)
      case _ where isFilling || draw == 6:
        agrees = try index.upsert(hash, word) == current
        model[hash] = word
      default:
        guard current != 0 else { continue }
        agrees = index.replace(hash, expected: current, with: 0)
        model[hash] = nil
      }
      // A macro for each of a million steps would take a minute.
      if !agrees { throw Disagreement(seed: seed, step: step) }
      if step % 50_000 == 0 {
        index.checkInvariants()
        peakByteCount = max(peakByteCount, index.reservedByteCount)
      }
    }
    try expectEqual(index, model, seed: seed)
    #expect(model.allSatisfy { index.replace($0.key, expected: $0.value, with: 0) })
    index.checkInvariants()
    #expect(index.entryCount == 0 && index.usedByteCount == 0)
    #expect(index.reservedByteCount < peakByteCount / 4, "memory was not given back")
  }

  /// Tiny shards: every table size from one bucket up, with wrap-around and full buckets.
  @Test func smallTablesAgreeWithADictionary() throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    for round in 0..<80 {
      let index = RecordIndex(shardCount: 1, byteLimit: 1 << 20)
      var model: [KeyHash: UInt64] = [:]
      let keys = (0..<(1 + round)).map { number in
        // A quarter of the keys crowd at either end, so that runs wrap around.
        let fingerprint: UInt64 =
          switch number % 8 {
          case 0: random.next() >> 50
          case 1: UInt64.max - random.next() >> 50
          default: random.next()
          }
        return KeyHash(fingerprint: fingerprint, selector: 0)
      }
      for _ in 0..<(keys.count * 8) {
        let hash = keys[random.below(keys.count)]
        if let word = model[hash], random.below(2) == 0 {
          #expect(index.replace(hash, expected: word, with: 0))
          model[hash] = nil
        } else {
          let word = random.next() | 1
          #expect(try index.upsert(hash, word) == model[hash] ?? 0)
          model[hash] = word
        }
        index.checkInvariants()
      }
      try expectEqual(index, model, seed: seed)
    }
  }

  /// Fingerprints that share their home at every table size, or their low bits.
  @Test func adversarialFingerprintsAreFound() throws {
    let patterns: [(String, (UInt64) -> UInt64)] = [
      ("equal high bits, at the start", { $0 }),
      ("equal high bits, at the end", { UInt64.max - $0 }),
      ("equal low bits", { $0 << 44 }),
      ("in the middle", { 1 << 63 + $0 * 3 }),
    ]
    for (name, fingerprint) in patterns {
      let index = RecordIndex(shardCount: 1, byteLimit: 16 << 20)
      let keyCount: UInt64 = 1200
      for number in 0..<keyCount {
        let hash = KeyHash(fingerprint: fingerprint(number), selector: 0)
        #expect(try index.upsert(hash, number + 1) == 0)
      }
      index.checkInvariants()
      #expect(index.reservedByteCount < 1 << 20, "\(name): memory ran away")
      for number in 0..<keyCount {
        let hash = KeyHash(fingerprint: fingerprint(number), selector: 0)
        #expect(index.find(hash) == number + 1, "\(name)")
        if number % 3 == 0 { #expect(index.replace(hash, expected: number + 1, with: 0)) }
      }
      index.checkInvariants()
      for number in 0..<keyCount {
        let hash = KeyHash(fingerprint: fingerprint(number), selector: 0)
        #expect(index.find(hash) == (number % 3 == 0 ? 0 : number + 1), "\(name)")
      }
    }
  }

  @Test func theSelectorChoosesTheShard() throws {
    let index = RecordIndex(shardCount: 16, byteLimit: 1 << 20)
    let hash = KeyHash(fingerprint: 0, selector: 0xabcdef)
    #expect(index.shardIndex(of: hash) == 0xa)
    #expect(index.shardIndex(ofSelector: 0xffffff) == 15)
    #expect(try index.upsert(inShard: 0xa, fingerprint: 0, locationWord: 5) == 0)
    #expect(index.find(hash) == 5)
    #expect(index.find(KeyHash(fingerprint: 0, selector: 0x0bcdef)) == 0)
    #expect(index.find(inShard: 0xa, fingerprint: 0) == 5)
    #expect(!index.replace(inShard: 0xa, fingerprint: 0, expected: 4, with: 6))
    #expect(index.replace(inShard: 0xa, fingerprint: 0, expected: 5, with: 6))
    var entries = [IndexEntry(fingerprint: 9, locationWord: 9)]
    index.snapshot(ofShard: 0xa, into: &entries)
    #expect(entries == [IndexEntry(fingerprint: 0, locationWord: 6)])
    index.snapshot(ofShard: 0, into: &entries)
    #expect(entries.isEmpty)
    let whole = RecordIndex(shardCount: 1, byteLimit: 1 << 20)
    #expect(whole.shardIndex(ofSelector: 0xffffff) == 0)
  }

  @Test func shardCountsSuitTheKeys() {
    #expect(RecordIndex.shardCount(forKeyCountUpTo: 0) == 1)
    #expect(RecordIndex.shardCount(forKeyCountUpTo: 20_000) == 2)
    #expect(RecordIndex.shardCount(forKeyCountUpTo: 1_000_000) == 64)
    #expect(RecordIndex.shardCount(forKeyCountUpTo: 100_000_000) == 8192)
    #expect(RecordIndex.shardCount(forKeyCountUpTo: .max) == RecordIndex.maximumShardCount)
  }

  private func expectEqual(
    _ index: RecordIndex, _ model: [KeyHash: UInt64], seed: UInt64
  ) throws {
    index.checkInvariants()
    try #require(index.entryCount == model.count, "seed \(seed)")
    var snapshotCount = 0
    var entries: [IndexEntry] = []
    for shardIndex in 0..<index.shardCount {
      index.snapshot(ofShard: shardIndex, into: &entries)
      snapshotCount += entries.count
    }
    #expect(snapshotCount == model.count, "seed \(seed)")
    #expect(model.allSatisfy { index.find($0.key) == $0.value }, "seed \(seed)")
  }

  private struct Disagreement: Error {
    let seed: UInt64
    let step: Int
  }
}
