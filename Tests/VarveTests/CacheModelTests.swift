import Testing
import Varve

@Suite struct CacheModelTests {
  /// A get answers what was inserted last for that location and generation, or nothing; the limit
  /// holds after every step, with records from 0 bytes to 16 KiB, as it changes.
  @Test(arguments: [1, 4])
  func randomOperationsAgreeWithADictionary(shardCount: Int) throws {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    var limit = 1 << 20
    let cache = RecordCache(byteLimit: limit, shardCount: shardCount)
    var newest: [Int: UInt64] = [:]
    var hits = 0
    for step in 0..<60_000 {
      let place = random.below(400)
      let (word, generation) = (UInt64(place / 2) << 24 | 8, UInt32(place % 2))
      var agrees = true
      switch random.below(20) {
      case 0:
        cache.remove(word, generation: generation)
        newest[place] = nil
        agrees = cache.get(word, generation: generation) == nil
      case 1..<9:
        let sequence = UInt64(step + 1)
        cache.insert(
          cachedRecord(place: place, sequence: sequence, random: &random),
          locationWord: word, generation: generation)
        newest[place] = sequence
      default:
        guard let record = cache.get(word, generation: generation) else { break }
        hits += 1
        agrees = record.sequence == newest[place] && isIntact(record, place: place)
      }
      if step % 6000 == 5999 {
        limit = [1 << 20, 300_000, 2 << 20, 0, 5000, 3 << 20][random.below(6)]
        cache.setByteLimit(limit)
        cache.checkInvariants()
      }
      agrees = agrees && cache.byteCount <= limit
      if !agrees { throw Disagreement(seed: seed, step: step) }
      if step % 1000 == 0 { cache.checkInvariants() }
    }
    #expect(hits > 1000, "seed \(seed)")
    cache.removeAll()
    #expect(cache.byteCount == 0 && cache.recordCount == 0)
    cache.checkInvariants()
  }

  @Test func aRecordIsWhatWasPutIntoIt() {
    for (keyByteCount, valueByteCount) in [(1, 0), (16, 1000), (4096, 1 << 20), (0, 0)] {
      let key = (0..<keyByteCount).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      let value = (0..<valueByteCount).map { UInt8(truncatingIfNeeded: $0 &* 13) }
      let record = CachedRecord(
        key: key.span.bytes, value: value.span.bytes, sequence: 9, expiry: 11)
      #expect(record.sequence == 9 && record.expiry == 11)
      #expect(record.keyByteCount == keyByteCount && record.valueByteCount == valueByteCount)
      #expect(record.withKey { bytes($0) } == key)
      #expect(record.withValue { bytes($0) } == value)
      #expect(record.withBytes { $0.byteCount + $1.byteCount } == keyByteCount + valueByteCount)
      #expect(record.residentByteCount >= keyByteCount + valueByteCount + 40)
    }
  }

  @Test func aCacheWithoutMemoryHoldsNothing() {
    var random = IndexRandom(seed: 1)
    let cache = RecordCache(byteLimit: 0, shardCount: 2)
    cache.insert(
      cachedRecord(place: 1, sequence: 1, random: &random), locationWord: 1, generation: 1)
    #expect(cache.get(1, generation: 1) == nil)
    #expect(cache.byteCount == 0 && cache.missCount == 0)
    cache.setByteLimit(1 << 20)
    cache.insert(
      cachedRecord(place: 1, sequence: 1, random: &random), locationWord: 1, generation: 1)
    #expect(cache.get(1, generation: 1)?.sequence == 1)
    #expect(cache.get(1, generation: 2) == nil)
    #expect(cache.hitCount == 1 && cache.missCount == 1)
  }

  /// Tasks that read, insert and remove at once: what is read is whole, a borrowed record outlives
  /// its eviction, and the limit holds.
  @Test func tasksTogether() async throws {
    let seed = drawSeed()
    let limit = 400_000
    let cache = RecordCache(byteLimit: limit, shardCount: 2)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<4 {
        group.addTask {
          var random = IndexRandom(seed: seed &+ UInt64(task))
          var held: [(CachedRecord, Int)] = []
          for step in 0..<15_000 {
            let place = random.below(300)
            let word = UInt64(place + 1) << 24
            if let record = cache.get(word, generation: 3) {
              try #require(isIntact(record, place: place), "seed \(seed)")
              if held.count < 50 { held.append((record, place)) }
            } else {
              cache.insert(
                cachedRecord(place: place, sequence: UInt64(step), random: &random),
                locationWord: word, generation: 3)
            }
            if step % 50 == 0 { cache.remove(word, generation: 3) }
            if step % 100 == 0 { try #require(cache.byteCount <= limit, "seed \(seed)") }
          }
          for (record, place) in held {
            try #require(isIntact(record, place: place), "seed \(seed)")
          }
        }
      }
      try await group.waitForAll()
    }
    cache.checkInvariants()
    #expect(cache.hitCount + cache.missCount == 60_000)
    #expect(cache.evictionCount > 0)
  }

  private struct Disagreement: Error {
    let seed: UInt64
    let step: Int
  }
}

/// A record whose bytes all tell the place that it belongs to.
func cachedRecord(
  place: Int, sequence: UInt64, byteCount: Int? = nil, random: inout IndexRandom
) -> CachedRecord {
  let valueByteCount = byteCount ?? random.below(random.below(4) == 0 ? 16 << 10 : 600)
  let key = [UInt8](repeating: UInt8(truncatingIfNeeded: place >> 8), count: 5)
  let value = [UInt8](repeating: UInt8(truncatingIfNeeded: place), count: valueByteCount)
  return CachedRecord(key: key.span.bytes, value: value.span.bytes, sequence: sequence)
}

/// Whether the bytes of a record are those of its place, at both ends of key and value.
func isIntact(_ record: CachedRecord, place: Int) -> Bool {
  record.withBytes { key, value in
    let isKey = bytes(key).allSatisfy { $0 == UInt8(truncatingIfNeeded: place >> 8) }
    guard isKey, key.byteCount == 5 else { return false }
    guard value.byteCount > 0 else { return true }
    let ends = [0, value.byteCount / 2, value.byteCount - 1]
    return ends.allSatisfy {
      value.unsafeLoad(fromByteOffset: $0, as: UInt8.self) == UInt8(truncatingIfNeeded: place)
    }
  }
}

/// The bytes of a span, copied.
func bytes(_ span: RawSpan) -> [UInt8] {
  span.withUnsafeBytes { Array($0) }
}
