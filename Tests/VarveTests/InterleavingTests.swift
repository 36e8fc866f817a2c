// Single interleavings of writes, flushes, failures and crashes that once broke a promise. Each
// test names the promise.

import Glibc
import Synchronization
import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

@Suite(.serialized) struct InterleavingTests: InterleavingSuite {
  private func text(_ value: VersionedValue?) -> String? {
    value.map { String(decoding: $0.value.prefix { $0 != 7 }, as: UTF8.self) }
  }

  private func superblock(_ image: SparseImage) throws -> Superblock {
    let page = image.read(at: 0, byteCount: 4096)
    return try Superblock(decoding: page.span.bytes, at: PageIndex(0))
  }

  // MARK: Recovery

  /// Promises 1 and 3, no fault at all: the summary of a finished segment is being written while
  /// the next segment already takes writes.
  @Test func aCrashWhileASegmentWithManyRecordsIsSealed() async throws {
    let device = SimulatedDevice(
      image: try await formatted(4 << 20, segment: 64 << 10), faults: FaultPlan(), seed: 5,
      delivery: .background)
    let store = ObservedStore(try await Harness.open(device), on: device)
    let start = device.eventCount
    for round in 0..<14 {
      try await store.write(
        (0..<200).map { .put(bytes("k\(round % 3)-\($0)"), bytes("\(round)")) },
        durability: round % 2 == 0 ? .durable : .written)
    }
    let history = device.history
    try await store.store.close()
    var failures: [String] = []
    var imageCount = 0
    let images = CrashEnumerator(
      history, crash: .kill, marks: store.oracle.marks, boundaries: start...history.events.count,
      density: CrashEnumerator.Density(samplingInterval: 3), seed: 5)
    for image in images where failures.count < 3 {
      imageCount += 1
      do {
        let reopened = try await Harness.open(image.makeDevice(delivery: .inline))
        let found = try await Harness.contents(reopened)
        for violation in store.oracle.check(recovered: found, image: image).prefix(1) {
          failures.append("\(image.summary): \(violation.prefix(200))")
        }
        try await reopened.close()
      } catch { failures.append("\(image.summary): \(error)") }
    }
    #expect(failures.isEmpty, "of \(imageCount): \(failures)")
  }

  /// Promise 3: a write fails while an earlier segment waits to be sealed; the table seals the
  /// later one first.
  @Test func aRewriteWhileAnEarlierSegmentIsUnsealed() async throws {
    let image = try await formatted(2 << 20, segment: 32 << 10)
    let geometry = try superblock(image).geometry
    func start(_ segment: UInt32, _ page: UInt64) -> UInt64 {
      (geometry.firstPage(of: SegmentIndex(segment)).rawValue + page) * 4096
    }
    let device = GateDevice(image)
    let store = try await Harness.open(device)
    try await store.put(bytes("k"), bytes("v1", 11000))
    try await store.put(bytes("z"), bytes("z"), durability: .written)
    #expect(store.core.log.state.withLock { $0.current?.segment.rawValue } == 0)
    #expect(await until { store.core.log.hasSegmentForPuts })
    try await Task.sleep(nanoseconds: 20_000_000)
    let flushCount = SharedCount()
    let (sealed, failed) = (start(0, 6)..<start(1, 0), start(1, 4)..<start(1, 8))
    let hasFailed = SharedCount()
    device.install { request in
      if request.operation == .flush {
        return flushCount.add(1) == 2 ? .hold : .pass
      }
      guard request.operation == .write else { return .pass }
      if sealed.contains(request.byteOffset) { return .hold }
      if failed.contains(request.byteOffset), hasFailed.add(1) == 1 {
        return .fail
      }
      return .pass
    }
    // Enters segment 1; maintenance opens segment 2 (first flush) and waits for the log's flush.
    try await store.put(bytes("k"), bytes("v2", 11000), durability: .written)
    #expect(await until { device.heldCount == 1 })
    // Its write fails and is made elsewhere; then both copies of segment 0's summary are held.
    try await store.put(bytes("y"), bytes("y"), durability: .buffered)
    Task { try? await store.sync() }
    #expect(await until { hasFailed.value == 1 })
    device.releaseFirst()
    #expect(await until { device.heldCount == 2 })
    let reopened = try await Harness.open(
      RAMDevice(image: device.medium.image, delivery: .background))
    #expect(text(try await reopened.get(bytes("k"))) == "v2")
    try await reopened.close()
    device.release()
    try await store.close()
  }

  /// Promise 3, after a clean close: the header of a segment that took moved frames names a first
  /// sequence number that the next segment names too.
  @Test func segmentsAfterARewriteKeepTheirOrder() async throws {
    let image = try await formatted(2 << 20, segment: 32 << 10)
    let geometry = try superblock(image).geometry
    let device = GateDevice(image)
    let store = try await Harness.open(device)
    let last = geometry.segmentCount - 1
    func next() -> UInt32? { store.core.log.state.withLock { $0.ready.first?.segment.rawValue } }
    // Until the segment made ready is the last one of the device: the one after it comes first.
    for _ in 0..<300 {
      try await store.put(bytes("hot"), bytes("h", 11000))
      _ = await until { next() != nil }
      if next() == last { break }
    }
    #expect(next() == last)
    let hasFailed = SharedCount()
    device.install { request in
      guard request.operation == .write, request.byteCount <= 8192,
        request.byteOffset >= geometry.firstSegmentPage.rawValue * 4096,
        geometry.segment(containing: PageIndex(request.byteOffset / 4096)) != nil,
        hasFailed.add(1) == 1
      else { return .pass }
      return .fail
    }
    var batch = Batch()
    batch.put(bytes("y"), bytes("y1", 3000))
    batch.put(bytes("w"), bytes("w1", 3000))
    _ = try await store.write(batch)
    let wasTried = hasFailed.value > 0
    #expect(wasTried)
    device.release()
    try await store.put(bytes("y"), bytes("y2", 13000))
    for number in 0..<3 { try await store.put(bytes("f\(number)"), bytes("f", 11000)) }
    #expect(text(try await store.get(bytes("y"))) == "y2")
    try await store.close()
    let reopened = try await Harness.open(
      RAMDevice(image: device.medium.image, delivery: .background))
    #expect(text(try await reopened.get(bytes("y"))) == "y2")
    try await reopened.close()
  }

  /// EIO while reading is never a tail.
  @Test func anUnreadableFrameAtTheEndIsNoTornTail() async throws {
    let image = try await formatted(2 << 20, segment: 32 << 10)
    let geometry = try superblock(image).geometry
    let device = SimulatedDevice(
      image: image, faults: FaultPlan(), seed: nil, delivery: .background)
    let store = try await Harness.open(device)
    try await store.put(bytes("a"), bytes("1"))
    try await store.put(bytes("b"), bytes("2"))
    let visible = device.visible
    let page = (geometry.firstPage(of: SegmentIndex(0)).rawValue + 2) * 4096
    let faulty = SimulatedDevice(
      image: visible,
      faults: FaultPlan(seed: 1).failing(.read, .touching(page..<page + 4096)), seed: nil,
      delivery: .background)
    var lost = false
    do {
      let reopened = try await Harness.open(faulty)
      lost = try await reopened.get(bytes("b")) == nil
      try await reopened.close()
    } catch {}
    #expect(!lost, "a durable record was cut off because its page could not be read")
    try await store.close()
  }

  /// A checkpoint witnesses the segment in which the log went on.
  @Test func theSegmentThatACheckpointNamesIsMissed() async throws {
    let image = try await formatted(2 << 20, segment: 32 << 10)
    let geometry = try superblock(image).geometry
    let device = RAMDevice(image: image, delivery: .background)
    let store = try await Harness.open(device)
    try await store.put(bytes("a"), bytes("1"))
    try await store.checkpoint()
    try await store.put(bytes("b"), bytes("2"))
    var damaged = device.image
    damaged.write(
      [UInt8](repeating: 0, count: 32 << 10),
      at: geometry.firstPage(of: SegmentIndex(0)).rawValue * 4096)
    try await store.close()
    var outcome = ""
    do {
      let reopened = try await Harness.open(RAMDevice(image: damaged, delivery: .background))
      outcome = reopened.recoveryReport.outcome.rawValue
      try await reopened.close()
    } catch { outcome = "refused" }
    #expect(outcome == "refused" || outcome == "degraded")
  }

  // MARK: Closing

  /// Every write returns, whatever races with it.
  @Test(arguments: 0..<4) func closeLeavesNoWriterBehind(round: Int) async throws {
    let device = RAMDevice(
      image: try await formatted(2 << 20, segment: 32 << 10), delivery: .background)
    let store = try await Harness.open(device)
    let left = SharedCount(32)
    for number in 0..<32 {
      let (key, value) = (bytes("k\(number % 4)"), bytes("v", 11000))
      Task {
        _ = try? await store.put(key, value, durability: .durable)
        left.add(-1)
      }
    }
    try await Task.sleep(nanoseconds: UInt64(round) * 1_000_000 + 200_000)
    try? await store.close()
    let isDone = await until { left.value == 0 }
    #expect(isDone, "\(left.value) writers never return after close()")
  }

  // MARK: Flushes

  /// Nothing is acknowledged on a flush that overlaps with one that failed.
  @Test func aFlushBesideOneThatFailedProvesNothing() async throws {
    let device = GateDevice(try await formatted(2 << 20, segment: 32 << 10))
    let store = try await Harness.open(device)
    try await store.put(bytes("a"), bytes("a", 11000))
    #expect(await until { store.core.log.hasSegmentForPuts })
    try await Task.sleep(nanoseconds: 20_000_000)
    device.install { $0.operation == .flush ? .hold : .pass }
    // Enters the next segment: maintenance opens another, and its flush is held.
    try await store.put(bytes("b"), bytes("b", 11000), durability: .written)
    #expect(await until { device.heldCount == 1 })
    let (acknowledged, failed) = (SharedCount(), SharedCount())
    let key = bytes("c")
    Task {
      do {
        try await store.put(key, key)
        acknowledged.add(1)
      } catch { failed.add(1) }
    }
    // The put's flush waits for the one that is held.
    #expect(await until { store.core.log.state.withLock { $0.flushCovers != nil } })
    #expect(device.heldCount == 1)
    device.failFirst()
    device.release()
    #expect(await until { acknowledged.value + failed.value == 1 })
    #expect(failed.value == 1)
    try? await store.close()
  }

  // MARK: Space

  /// Writes resume by themselves when space returns, whatever the level of the deletes.
  @Test func aFullStoreTakesWritesAfterDeletesThatWereOnlyWritten() async throws {
    let device = RAMDevice(
      image: try await formatted(2 << 20, segment: 32 << 10), delivery: .background)
    let store = try await Harness.open(device)
    var count = 0
    while count < 200 {
      do { try await store.put(bytes("k\(count)"), bytes("v", 11000)) } catch { break }
      count += 1
    }
    #expect(count < 200)
    var batch = Batch()
    for number in 0..<count { batch.delete(bytes("k\(number)")) }
    _ = try await store.write(batch, durability: .written)
    var failure: String?
    for _ in 0..<3000 {
      do {
        try await store.put(bytes("new"), bytes("v", 11000))
        failure = nil
        break
      } catch { failure = "\(error)" }
      try await Task.sleep(nanoseconds: 10_000_000)
    }
    #expect(failure == nil)
    try? await store.sync()
    try await Task.sleep(nanoseconds: 50_000_000)
    try await store.put(bytes("new"), bytes("v", 11000))
    try await store.close()
  }

  // MARK: Conditions

  /// A condition that no longer holds is refused, also where the log has come round to the very
  /// place where the record lay.
  @Test func aConditionIsNotMetByAnotherRecordAtTheSamePlace() async throws {
    let image = try await formatted(2 << 20, segment: 32 << 10)
    let geometry = try superblock(image).geometry
    let device = GateDevice(image)
    var options = Harness.options
    options.cacheEnabled = false
    let store = try await Store.open(device: device, options: options)
    try await store.put(bytes("b"), bytes("b", 11000))
    try await store.put(bytes("a"), bytes("a0", 11000))
    let standing = try #require(try await store.get(bytes("a")))
    let hash = KeyHash(of: bytes("a").span.bytes, keyedBy: store.core.hashKey)
    let place = store.core.index.find(hash)
    let first = geometry.firstPage(of: SegmentIndex(0)).rawValue * 4096
    device.install { request in
      request.operation == .read && request.byteOffset >= first
        && request.byteOffset < first + 32 << 10 ? .hold : .pass
    }
    let wasApplied = SharedCount()
    let isDone = SharedCount()
    let (a, b) = (bytes("a"), bytes("b"))
    Task {
      var batch = Batch()
      batch.put(a, a, condition: .ifSequence(standing.sequence))
      batch.put(b, b, condition: .ifSequence(1))
      let result = try? await store.write(batch)
      if result != .refused(operationIndex: 0) { wasApplied.add(1) }
      isDone.add(1)
    }
    #expect(await until { device.heldCount == 1 })
    var rounds = 0
    repeat {
      try await store.put(a, bytes("a\(rounds + 1)", 11000))
      rounds += 1
    } while store.core.index.find(hash) != place && rounds < 400
    #expect(store.core.index.find(hash) == place, "the log did not come round")
    device.release()
    #expect(await until { isDone.value > 0 })
    #expect(
      wasApplied.value == 0,
      "key a was written \(rounds) times since its sequence number was \(standing.sequence)")
    try await store.close()
  }

  // MARK: Hostile images

  private static func flat(_ text: String, _ byteCount: Int) -> [UInt8] {
    Array(text.utf8) + [UInt8](repeating: 7, count: byteCount)
  }

  private static func image(
    _ change: (inout SparseImage, Superblock) throws -> Void
  ) async throws -> SparseImage {
    let device = RAMDevice(byteCount: 2 << 20, delivery: .inline)
    try await Store.format(device: device, options: FormatOptions(segmentByteCount: 32 << 10))
    let first = RAMDevice(image: device.image, delivery: .background)
    let store = try await Harness.open(first)
    for number in 0..<3 { try await store.put(flat("k\(number)", 4), flat("v", 11000)) }
    try await store.checkpoint()
    try await store.close()
    var image = first.image
    let page = image.read(at: 0, byteCount: 4096)
    try change(&image, try Superblock(decoding: page.span.bytes, at: PageIndex(0)))
    return image
  }

  /// A summary entry whose location is 0.
  @Test func aSummaryThatNamesPageZeroIsNoTrap() async {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      let image = try await InterleavingTests.image { image, superblock in
        let geometry = superblock.geometry
        for page in [6, 7] as [UInt64] {
          let address = PageIndex(geometry.firstPage(of: SegmentIndex(0)).rawValue + page)
          let old = image.read(at: address.rawValue * 4096, byteCount: 4096)
          var facts = try SummaryPage.facts(of: old.span.bytes, ordinal: 0)
          facts.recordCount = 1
          var builder = SummaryBuilder()
          builder.append(
            SummaryEntry(
              hash: KeyHash(fingerprint: 1, selector: 1), sequence: SequenceNumber(1),
              location: .none, expiryMilliseconds: 0))
          var bytes = [UInt8](repeating: 0, count: 4096)
          var span = bytes.mutableSpan
          var output = span.mutableBytes
          builder.copyPage(0, into: &output)
          SummaryPage.seal(
            &output, facts: facts, ordinal: 0, at: address, generation: Generation(1),
            segment: SegmentIndex(0), uuid: superblock.uuid,
            checksum: Checksum(uuid: superblock.uuid))
          image.write(bytes, at: address.rawValue * 4096)
        }
        // Without its checkpoint, the summaries count.
        var stripped = superblock
        stripped.checkpoint = nil
        stripped.version += 1
        InterleavingTests.write(stripped, to: &image)
      }
      let store = try? await Harness.open(RAMDevice(image: image, delivery: .background))
      try? await store?.close()
    }
    if let result { print(String(decoding: result.standardErrorContent, as: UTF8.self)) }
  }

  private static func write(_ superblock: Superblock, to image: inout SparseImage) {
    for copy in 0..<4 {
      var bytes = [UInt8](repeating: 0, count: 4096)
      var span = bytes.mutableSpan
      var output = span.mutableBytes
      superblock.encode(into: &output, copy: copy)
      image.write(bytes, at: superblock.geometry.superblockPage(copy: copy).rawValue * 4096)
    }
  }

  /// A checkpoint root whose counts overflow what is computed from them.
  @Test func aRootWithHugeCountsIsNoTrap() async {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      let image = try await InterleavingTests.image { image, superblock in
        guard let reference = superblock.checkpoint else { throw FormatError.blank }
        let place = reference.rootPage.rawValue * 4096
        let old = image.read(at: place, byteCount: 4096)
        var root = try CheckpointPage.root(of: old.span.bytes)
        root.pageCount = .max
        root.entryCount = .max
        guard let segment = superblock.geometry.segment(containing: reference.rootPage) else {
          throw FormatError.blank
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        var span = bytes.mutableSpan
        var output = span.mutableBytes
        CheckpointPage.encode(root, into: &output)
        PageHeader(
          kind: .checkpoint, generation: reference.rootGeneration, page: reference.rootPage,
          segment: segment
        ).seal(&output, uuid: superblock.uuid, checksum: Checksum(uuid: superblock.uuid))
        image.write(bytes, at: place)
      }
      _ = try? await StoreCore.recoveryPlan(device: RAMDevice(image: image, delivery: .inline))
    }
    if let result { print(String(decoding: result.standardErrorContent, as: UTF8.self)) }
  }
}
