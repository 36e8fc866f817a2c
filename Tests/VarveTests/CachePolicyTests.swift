import Glibc
import Testing
import Varve

@Suite struct CachePolicyTests {
  private let byteCount = 1000

  private func insert(_ place: Int, into cache: RecordCache) {
    var random = IndexRandom(seed: 0)
    cache.insert(
      cachedRecord(place: place, sequence: 1, byteCount: byteCount, random: &random),
      locationWord: UInt64(place + 1) << 24, generation: 1)
  }

  private func read(_ place: Int, from cache: RecordCache) -> Bool {
    cache.get(UInt64(place + 1) << 24, generation: 1) != nil
  }

  /// Records that were read stay while a long run of others passes through the small queue.
  @Test func oneHitWondersLeaveThroughTheSmallQueue() {
    let cache = RecordCache(byteLimit: 120_000, shardCount: 1)
    for place in 0..<40 { insert(place, into: cache) }
    for _ in 0..<2 { for place in 0..<40 { #expect(read(place, from: cache)) } }
    for place in 1000..<3000 { insert(place, into: cache) }
    cache.checkInvariants()
    #expect((0..<40).allSatisfy { read($0, from: cache) }, "a scan flushed what is read")
    #expect((1000..<2800).allSatisfy { !read($0, from: cache) })
    #expect(cache.evictionCount >= 1900)
  }

  /// A record that comes back soon after it left goes to the main queue, where a scan does not
  /// reach it although nobody has read it since.
  @Test func aGhostThatReturnsEntersTheMainQueue() {
    let cache = RecordCache(byteLimit: 120_000, shardCount: 1)
    for place in 0..<80 { insert(place, into: cache) }
    for _ in 0..<2 { for place in 0..<80 { _ = read(place, from: cache) } }
    // Push 500 through the small queue until it has left, then bring it and 501 back in.
    var place = 500
    repeat {
      insert(place, into: cache)
      place += 1
    } while cache.evictionCount == 0 || place < 560
    let evicted = (500..<place).filter { !read($0, from: cache) }
    guard let ghost = evicted.last else {
      Issue.record("nothing was evicted")
      return
    }
    insert(ghost, into: cache)
    insert(9000, into: cache)
    for place in 2000..<2100 { insert(place, into: cache) }
    cache.checkInvariants()
    #expect(!read(9000, from: cache), "a new record outlived a scan")
    #expect(read(ghost, from: cache), "a ghost did not reach the main queue")
  }

  @Test func largeRecordsAreNotCached() {
    var random = IndexRandom(seed: 0)
    let cache = RecordCache(byteLimit: 80_000, shardCount: 1)
    insert(0, into: cache)
    cache.insert(
      cachedRecord(place: 0, sequence: 2, byteCount: 20_000, random: &random),
      locationWord: 1 << 24, generation: 1)
    #expect(!read(0, from: cache), "the record before stayed in place of the one too large")
    #expect(cache.recordCount == 0)
  }

  @Test func loweringTheLimitEvictsAtOnce() {
    let cache = RecordCache(byteLimit: 1 << 20, shardCount: 2)
    for place in 0..<900 { insert(place, into: cache) }
    #expect(cache.byteCount > 800_000 && cache.byteCount <= 1 << 20)
    cache.setByteLimit(100_000)
    #expect(cache.byteCount <= 100_000 && cache.recordCount > 60)
    cache.checkInvariants()
    cache.setByteLimit(0)
    #expect(cache.byteCount == 0 && cache.recordCount == 0)
  }

  /// Zipf 0.99 over 20,000 records with room for a tenth of them, against a plain FIFO.
  @Test func theHitRatioBeatsPlainFIFO() {
    let seed = drawSeed()
    var random = IndexRandom(seed: seed)
    let cache = RecordCache(byteLimit: 2_400_000, shardCount: 4)
    var cumulative: [Double] = []
    var total = 0.0
    for rank in 1...20_000 {
      total += 1 / pow(Double(rank), 0.99)
      cumulative.append(total)
    }
    func draw() -> Int {
      let point = Double(random.next() >> 11) / Double(1 << 53) * total
      var (low, high) = (0, cumulative.count - 1)
      while low < high {
        let middle = (low + high) / 2
        if cumulative[middle] < point { low = middle + 1 } else { high = middle }
      }
      return low
    }
    let accesses = (0..<150_000).map { _ in draw() }
    for place in accesses where !read(place, from: cache) { insert(place, into: cache) }
    // The FIFO may hold as many records as the cache ended with: overheads count against both.
    let capacity = cache.recordCount
    var queue: [Int] = []
    var first = 0
    var present = Set<Int>()
    var plainHits = 0
    for place in accesses {
      if present.contains(place) {
        plainHits += 1
        continue
      }
      queue.append(place)
      present.insert(place)
      if present.count > capacity {
        present.remove(queue[first])
        first += 1
      }
    }
    let ratio = Double(cache.hitCount) / Double(accesses.count)
    let plain = Double(plainHits) / Double(accesses.count)
    print("\(capacity) of 20000 records, zipf 0.99: S3-FIFO hits \(ratio), plain FIFO \(plain)")
    #expect(ratio > plain, "seed \(seed)")
    cache.checkInvariants()
  }
}
