import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Many records at once, where the index names what is not there, and where they are large.
@Suite struct MultiGetTests {
  /// Has the index name the record of one key for another one, too, as a collision of fingerprints
  /// would, or a forged summary.
  private func collide(_ other: String, with key: String, in store: Store) throws {
    let core = store.core
    func hash(_ key: String) -> KeyHash {
      KeyHash(of: Array(key.utf8).span.bytes, keyedBy: core.hashKey)
    }
    let location = core.index.find(hash(key))
    try #require(location != 0)
    _ = try core.index.upsert(hash(other), location)
  }

  /// Wherever the record lies, a false match is an answer, not a search without end.
  @Test(arguments: ["write buffer", "cache", "device"])
  func aFalseMatchIsAnAnswer(place: String) async throws {
    let device = try await API.formatted()
    var options = TestingStore.options
    options.cacheEnabled = place == "cache"
    let store = try await Store.open(device: device, options: options)
    try await store.put("a", "1", durability: place == "write buffer" ? .buffered : .durable)
    if place != "write buffer" { _ = try await store.get("a") }
    try collide("b", with: "a", in: store)
    #expect(await API.code { _ = try await store.get("b") } == .hashCollision)
    #expect(await API.code { _ = try await store.multiGet(["b"]) } == .hashCollision)
    #expect(await API.code { _ = try await store.multiGet(["a", "b", "a"]) } == .hashCollision)
    #expect(try await store.multiGet(["a", "c"]).map { $0?.text } == ["1", nil])
    // The pass meets the record once, and the false entry as damage.
    var (found, codes): ([String], [StoreError.Code]) = ([], [])
    var records = store.records.makeAsyncIterator()
    while true {
      do {
        guard let record = try await records.next() else { break }
        found.append(String(decoding: record.key, as: UTF8.self))
      } catch { codes.append(error.code) }
    }
    #expect(found == ["a"])
    #expect(codes == [.corrupt])
    try? await store.close()
  }

  /// A pass holds no more than the share of reads, however large the records are, and one beyond.
  @Test(arguments: [false, true]) func aPassHoldsWhatReadsMay(cacheEnabled: Bool) async throws {
    let device = try await API.formatted(byteCount: 64 << 20, segmentByteCount: 1 << 20)
    var options = TestingStore.options
    options.cacheEnabled = cacheEnabled
    // Small on the device, large in memory.
    let store = try await Store.open(device: device, options: options)
    let valueByteCount = 400_000
    for number in 0..<120 as Range<UInt8> {
      try await store.put("\(number)", [UInt8](repeating: number, count: valueByteCount))
    }
    var entries: [IndexEntry] = []
    var leftCount = 0
    for shard in 0..<store.core.index.shardCount {
      entries.removeAll()
      store.core.index.snapshot(ofShard: shard, into: &entries)
      var left = entries.map(\.fingerprint)
      while !left.isEmpty {
        let before = left.count
        let group = await store.core.read(fingerprints: left, inShard: shard)
        #expect(group.results.count + group.left.count == before)
        #expect(group.left.count < before)
        let byteCount = try group.results.map { try $0.get().value.count }.reduce(0, +)
        #expect(byteCount < store.core.reader.memory.byteLimit + valueByteCount)
        leftCount += group.left.count
        left = group.left
      }
    }
    #expect(leftCount > 0)
    var keys: Set<[UInt8]> = []
    for try await record in store.records {
      #expect(record.value.count == valueByteCount)
      #expect(keys.insert(record.key).inserted)
    }
    #expect(keys.count == 120)
    try await store.close()
  }
}
