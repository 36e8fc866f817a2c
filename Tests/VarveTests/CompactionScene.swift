import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// A store of small segments, and a test that says where its records lie and which request of its
/// device waits: for what happens while compaction is at work.
///
/// A segment has five pages for records. The log does not notice that it is idle, so that nothing
/// but the test's own writes takes pages.
struct CompactionScene {
  let device: GateDevice
  let store: Store
  let superblock: Superblock
  private let gate = IdleGate()

  /// A record that leaves room for one small one in its segment, which is never worth moving then.
  static let anchor = [UInt8](repeating: 3, count: 14_000)

  /// On an empty device, or on what a crash has left.
  init(_ image: SparseImage? = nil, clocks: TestClocks = TestClocks()) async throws {
    let found: SparseImage
    if let image { found = image } else { found = try await Harness.formatted() }
    device = GateDevice(found)
    let page = found.read(at: 0, byteCount: Limits.pageByteCount)
    superblock = try Superblock(decoding: page.span.bytes, at: PageIndex(0))
    var environment = clocks.environment
    environment.sleep = { [gate] _ in await gate.wait() }
    var options = Harness.options
    options.cacheEnabled = false
    store = try await Store.open(device: device, options: options, environment: environment)
  }

  func close() async throws {
    device.release()
    gate.open()
    try await store.close()
  }

  /// Opens what a kill right now would leave behind.
  func killed() async throws -> Store {
    try await Harness.open(RAMDevice(image: device.medium.image, delivery: .inline))
  }

  /// What some keys are after a kill right now; nil stands for a key without a value.
  func expect(
    afterKill expected: [String: String?], sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let store = try await killed()
    for (key, value) in expected {
      let found = try await store.get(key)?.text
      #expect(found == value, "key \(key)", sourceLocation: sourceLocation)
    }
    try await store.close()
  }

  // MARK: Where things lie

  /// Where the newest record of a key lies, a tombstone too.
  func location(of key: String) -> RecordLocation {
    let hash = KeyHash(of: Array(key.utf8).span.bytes, keyedBy: store.core.hashKey)
    return RecordLocation(rawValue: store.core.index.find(hash))
  }

  /// Keys that share a shard of the index.
  func keysOfOneShard(count: Int) throws -> [String] {
    let index = store.core.index
    let keys = (0..<1_000).map { "k\($0)" }
    let shards = Dictionary(grouping: keys) {
      index.shardIndex(of: KeyHash(of: Array($0.utf8).span.bytes, keyedBy: store.core.hashKey))
    }
    return try Array(#require(shards.values.first { $0.count >= count }).sorted().prefix(count))
  }

  /// The segment of that.
  func segment(of key: String) throws -> Int {
    let page = location(of: key).page
    return Int(try #require(superblock.geometry.segment(containing: page)).rawValue)
  }

  func state(_ segment: Int) -> SegmentInfo.State { store.segments[segment].state }

  /// The bytes in which the records of a segment lie.
  func frames(of segment: Int) -> Range<UInt64> {
    let range = Immunity.range(of: SegmentIndex(UInt32(segment)), superblock.geometry)
    let pageCount = superblock.geometry.framePageLimit(summaryPages: PageCount(1)).rawValue
    return range.lowerBound..<range.lowerBound + UInt64(pageCount) * UInt64(Limits.pageByteCount)
  }

  /// Overwrites a key of its own, a segment with each turn, until something has come about.
  func fill(
    until condition: () throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    for _ in 0..<500 {
      // Which segment the log goes on in is known before it does.
      await API.until { store.core.log.hasSegmentForPuts }
      if try condition() { break }
      try await store.put("fill", Immunity.filler)
    }
    let isSo = try condition()
    #expect(isSo, "it never came about", sourceLocation: sourceLocation)
  }

  /// Goes on in another segment than that of a key, which is sealed then. Returns which it is.
  @discardableResult
  func seal(_ key: String) async throws -> Int {
    let segment = try segment(of: key)
    try await fill { state(segment) != .open }
    return segment
  }

  /// Small records in a segment of their own, most of which is dead. Returns which it is.
  @discardableResult
  func victim(_ records: [(String, String)]) async throws -> Int {
    for (key, value) in records { try await store.put(key, value) }
    return try await seal(records[0].0)
  }

  // MARK: Requests

  /// Whether a request writes records that compaction moves.
  static func isRelocation(_ request: IORequest, _ uuid: StoreUUID) -> Bool {
    guard request.operation == .write, let memory = unsafe request.memory else { return false }
    // SAFETY: the request lends its memory until it is completed.
    let bytes = unsafe RawSpan(_unsafeStart: memory, byteCount: request.byteCount)
    switch (try? PageHeader.peek(bytes, uuid: uuid))?.kind {
    case .segmentHeader: return (try? SegmentHeader(decoding: bytes))?.stream.isRelocation == true
    case .frameStart: return (try? FrameHeader(decoding: bytes))?.stream.isRelocation == true
    default: return false
    }
  }

  /// Holds what compaction writes.
  func holdRelocations() {
    let uuid = superblock.uuid
    device.install { Self.isRelocation($0, uuid) ? .hold : .pass }
  }

  /// Holds reads of the records of a segment.
  func holdReads(of segment: Int) {
    let frames = frames(of: segment)
    device.install { $0.operation == .read && frames.contains($0.byteOffset) ? .hold : .pass }
  }

  /// A compaction that has come to a request that is held. To be awaited once that is released.
  func heldCompaction() async -> Task<Void, any Error> {
    let compaction = Task { [store] in try await store.compact() }
    await API.until { device.heldCount > 0 }
    return compaction
  }
}

extension Geometry {
  /// Whether a request is for the last page of a segment, with which its summary is found.
  func endsSegment(_ request: IORequest) -> Bool {
    let page = PageIndex(request.byteOffset / UInt64(Limits.pageByteCount))
    guard let segment = segment(containing: page) else { return false }
    return page.rawValue - firstPage(of: segment).rawValue == UInt64(segmentPageCount.rawValue) - 1
  }
}
