import Testing
import Varve
import VarveFormat

@Suite struct IndexScaleTests {
  /// Memory per key while a quarter of a million keys (a million in a long run) come in, which no
  /// moment of growth may spoil, and the longest that one insert took (printed: a time is no test).
  @Test func memoryPerKeyAndTheLongestInsert() throws {
    let keyCount = Harness.isLong ? 1_050_000 : 262_500
    let shardCount = RecordIndex.shardCount(forKeyCountUpTo: keyCount)
    let index = RecordIndex(shardCount: shardCount, byteLimit: 1 << 30)
    var random = IndexRandom(seed: drawSeed())
    let clock = ContinuousClock()
    var longest = Duration.zero
    var worstBytesPerKey = 0.0
    let start = clock.now
    for number in 1...keyCount {
      let hash = random.keyHash()
      let before = clock.now
      _ = try index.upsert(hash, UInt64(number))
      longest = max(longest, clock.now - before)
      if number >= keyCount * 20 / 21, number % 1000 == 0 {
        worstBytesPerKey = max(worstBytesPerKey, index.bytesPerKey)
      }
    }
    let elapsed = clock.now - start
    let load = Double(index.entryCount * 16) / Double(index.usedByteCount)
    print(
      "\(index.entryCount) keys: \(index.bytesPerKey) bytes per key (worst \(worstBytesPerKey)),",
      "load \(load), \(elapsed / keyCount) per insert, longest \(longest),",
      "span \(Double(index.spanByteCount) / Double(index.usedByteCount)) of the tables")
    #expect(index.bytesPerKey <= 20)
    #expect(worstBytesPerKey <= 20)
    #expect(load >= 0.85)
  }

  @Test func anEmptyIndexIsSmall() {
    let index = RecordIndex(shardCount: 1 << 12, byteLimit: 1 << 30)
    #expect(index.reservedByteCount <= (1 << 12) * 64)
    #expect(index.bytesPerKey == 0)
  }

  /// Writers on keys of their own, readers on all: a reader sees nothing or a word that the key's
  /// writer has stored, never going back; in the end all is as the writers left it.
  @Test func readersAndWritersTogether() async throws {
    let race = IndexRace(seed: drawSeed())
    try await withThrowingTaskGroup(of: Void.self) { readers in
      for reader in 0..<2 { readers.addTask { try await race.read(as: reader) } }
      defer { race.isDone.set() }
      try await withThrowingTaskGroup(of: Void.self) { writers in
        for writer in 0..<IndexRace.writerCount { writers.addTask { try race.write(as: writer) } }
        try await writers.waitForAll()
      }
      race.isDone.set()
      try await readers.waitForAll()
    }
    race.checkEnd()
  }
}

/// Readers and writers of one index.
private struct IndexRace {
  static let writerCount = 3
  static let keysPerWriter = 3000
  static let roundCount = 12

  let seed: UInt64
  let index = RecordIndex(shardCount: 4, byteLimit: 64 << 20)
  let isDone = TestFlag()

  private func hash(_ writer: Int, _ key: Int) -> KeyHash {
    var random = IndexRandom(seed: seed &+ UInt64(writer * Self.keysPerWriter + key))
    return random.keyHash()
  }

  func read(as reader: Int) async throws {
    var random = IndexRandom(seed: seed ^ UInt64(reader))
    var newest: [KeyHash: UInt64] = [:]
    var entries: [IndexEntry] = []
    var findCount = 0
    while !isDone.isSet {
      findCount += 1
      // There may be no more threads than readers.
      if findCount % 64 == 0 { await Task.yield() }
      let (writer, key) = (random.below(Self.writerCount), random.below(Self.keysPerWriter))
      let hash = hash(writer, key)
      let word = index.find(hash)
      guard word != 0 else { continue }
      try #require(word >> 32 == UInt64(writer * Self.keysPerWriter + key), "seed \(seed)")
      try #require(word >= newest[hash] ?? 0, "an old word came back, seed \(seed)")
      newest[hash] = word
      if random.below(500) == 0 {
        index.snapshot(ofShard: random.below(4), into: &entries)
        try #require(Set(entries.map(\.fingerprint)).count == entries.count)
      }
    }
  }

  func write(as writer: Int) throws {
    for round in 1...Self.roundCount {
      for key in 0..<Self.keysPerWriter {
        let name = UInt64(writer * Self.keysPerWriter + key) << 32
        let word = name | UInt64(round * 2)
        let previous = try index.upsert(hash(writer, key), word)
        try #require(previous == 0 || previous >> 32 == name >> 32, "seed \(seed)")
        try #require(index.replace(hash(writer, key), expected: word, with: word | 1))
      }
      // All but the last round ends with most keys gone, so that tables shrink and grow.
      guard round < Self.roundCount else { break }
      for key in 0..<Self.keysPerWriter where key % 8 != 0 {
        let word = UInt64(writer * Self.keysPerWriter + key) << 32 | UInt64(round * 2 + 1)
        try #require(index.replace(hash(writer, key), expected: word, with: 0))
      }
    }
  }

  func checkEnd() {
    index.checkInvariants()
    #expect(index.entryCount == Self.writerCount * Self.keysPerWriter)
    for writer in 0..<Self.writerCount {
      for key in 0..<Self.keysPerWriter {
        let word =
          UInt64(writer * Self.keysPerWriter + key) << 32 | UInt64(Self.roundCount * 2 + 1)
        #expect(index.find(hash(writer, key)) == word, "seed \(seed)")
      }
    }
  }
}
