// Interleavings of rewrites, failed flushes, checkpoints and looks from outside that once broke a
// promise. Each test names the promise.

import Glibc
import Synchronization
import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

@Suite(.serialized) struct RewriteInterleavingTests: InterleavingSuite {
  /// No loss; "flush failure: poison writes for good": a checkpoint that is asked of a poisoned
  /// store writes the segment table, whose other slot was never flushed.
  @Test func aPoisonedStoreLeavesItsTableAlone() async throws {
    let device = SimulatedDevice(
      image: try await formatted(2 << 20, segment: 32 << 10), faults: FaultPlan(), seed: 3,
      delivery: .background)
    let store = try await Harness.open(device)
    // The log has come to segments whose entries lie in later sectors of the table's page.
    for _ in 0..<45 { try await store.put(bytes("hot"), bytes("v", 11000)) }
    for number in 0..<6 { try await store.put(bytes("k\(number)"), bytes("v", 11000)) }
    try await Task.sleep(nanoseconds: 50_000_000)
    device.install(FaultPlan(seed: 3).failingFlush(at: 0, losingData: true))
    _ = try? await store.put(bytes("last"), bytes("last"))
    #expect(store.health == .poisoned)
    let before = device.durable
    let start = device.eventCount
    for _ in 0..<2 { try? await store.checkpoint() }
    #expect(device.eventCount == start, "a poisoned store writes")
    // Power is lost: of each write that no flush has covered, the first sector has landed.
    var crashed = before
    let visible = device.visible
    let geometry = try Geometry(
      deviceByteCount: device.byteCount,
      segmentByteCount: store.core.geometry.segmentByteCount)
    for copy in 0..<2 {
      for slot in 0..<2 {
        let place = geometry.tablePage(0, copy: copy, slot: slot).rawValue * 4096
        crashed.write(visible.read(at: place, byteCount: 512), at: place)
      }
    }
    try? await store.close()
    var failures: [String] = []
    do {
      let reopened = try await Harness.open(RAMDevice(image: crashed, delivery: .inline))
      for number in 0..<6 where try await reopened.get(bytes("k\(number)")) == nil {
        failures.append("k\(number) is lost, \(reopened.recoveryReport.outcome)")
      }
      try await reopened.close()
    } catch { failures.append("\(error)") }
    #expect(failures.isEmpty, "what was durable before the flush failed: \(failures)")
  }

  /// Puts records, each in a frame of its own, until the memory for frames is used up with the last
  /// frame at the end of its segment; returns how many.
  private func fillFrameMemory(of store: Store) async throws -> Int {
    let log = store.core.log
    func view() -> (nextPage: Int, byteCount: Int, isOpen: Bool, readyCount: Int) {
      log.state.withLock {
        (
          $0.current?.nextPage ?? 0, $0.bufferByteCount, $0.openFrame != nil, $0.ready.count
        )
      }
    }
    let limit = log.bufferByteLimit / 4 * 3
    let frameByteCount = 17 * 4096
    let end = Int(store.core.geometry.framePageLimit(summaryPages: PageCount(1)).rawValue)
    var count = 0
    while view().byteCount + frameByteCount <= limit, count < 60 {
      let (next, used, _, readyCount) = view()
      let framesLeft = (limit - used) / frameByteCount
      // As few segments as possible behind this one.
      var pageCount = 1
      if let wanted = (0...readyCount).first(where: { (end - next) + $0 * (end - 1) >= framesLeft })
      {
        let target = (end - next) + wanted * (end - 1)
        pageCount = max(1, min(end - next, target - framesLeft + 1))
      }
      let byteCount = pageCount == 1 ? 40 : (pageCount - 1) * 4096 + 1000
      count += 1
      try await store.put(bytes("p\(count)"), bytes("p", byteCount), durability: .buffered)
      Task { try? await store.sync() }
      #expect(await until { !view().isOpen }, "frame \(count) was not closed")
    }
    return count
  }

  /// Deletes everything, again and again.
  private func requireThatSpaceReturns(in store: Store) async throws {
    for round in 0..<400 {
      var puts = Batch()
      for key in 0..<5 { puts.put(bytes("r\(round)-\(key)"), bytes("v", 4000)) }
      _ = try await store.write(puts)
      var deletes = Batch()
      for key in 0..<5 { deletes.delete(bytes("r\(round)-\(key)")) }
      _ = try await store.write(deletes)
    }
  }

  /// A segment that the log entered but could not get a frame for is forgotten by a rewrite: it
  /// stays open, and where it becomes the oldest, tombstones never die again.
  @Test(arguments: [false, true]) func aSegmentEnteredBeforeARewriteIsNotForgotten(
    fails: Bool
  ) async throws {
    let device = GateDevice(try await formatted(4 << 20, segment: 64 << 10))
    var options = Harness.options
    options.memoryBudget = 8 << 20
    let store = try await Store.open(device: device, options: options)
    let log = store.core.log
    let geometry = try Geometry(
      deviceByteCount: device.byteCount,
      segmentByteCount: store.core.geometry.segmentByteCount)
    try await store.put(bytes("first"), bytes("first"))
    #expect(await until { log.state.withLock { $0.ready.count } >= 2 })
    try await Task.sleep(nanoseconds: 50_000_000)
    let first = geometry.firstSegmentPage.rawValue * 4096
    device.install { request in
      request.operation == .write && request.byteOffset >= first
        && geometry.segment(containing: PageIndex(request.byteOffset / 4096)) != nil
        ? .hold : .pass
    }
    let number = try await fillFrameMemory(of: store)
    let done = SharedCount()
    Task {
      _ = try? await store.put(Array("waits".utf8), [1, 2, 3], durability: .buffered)
      done.add(1)
    }
    #expect(await until { log.state.withLock { !$0.spaceWaiters.isEmpty } })
    let entered = log.state.withLock { state in
      state.current.flatMap { current in
        state.frames.contains { $0.segment == current.segment } ? nil : current.segment
      }
    }
    #expect(entered != nil, "the test did not come to the place")
    if fails { device.failFirst() }
    device.release()
    #expect(await until { done.value == 1 })
    try await store.sync()
    try await Task.sleep(nanoseconds: 100_000_000)
    for key in ["first", "waits"] + (0...number).map({ "p\($0)" }) {
      try await store.delete(bytes(key))
    }
    try await requireThatSpaceReturns(in: store)
    try await store.close()
  }

  /// A look at a store without a lock is in nobody's way.
  @Test func infoRefusesNobody() async throws {
    try await API.withPath { path in
      try await Store.create(path: path, options: FormatOptions(byteCount: 4 << 20))
      let stop = StopFlag()
      let looker = Task.detached {
        var count = 0
        while !stop.isSet {
          _ = try? await Store.info(path: path)
          count += 1
        }
        return count
      }
      var refused = 0
      var message = ""
      for _ in 0..<60 {
        do {
          let store = try await Store.open(path: path, options: Harness.options)
          try await store.close()
        } catch {
          refused += 1
          message = "\(error)"
        }
      }
      stop.set()
      #expect(await looker.value > 0)
      #expect(refused == 0, "an open was refused because somebody looked: \(message)")
    }
  }

  /// Of a store that nobody has open, no look says that somebody has.
  @Test func looksAreNotTakenForHolders() async throws {
    try await API.withPath { path in
      try await Store.create(path: path, options: FormatOptions(byteCount: 4 << 20))
      let liveCount = SharedCount()
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<3 {
          group.addTask {
            for _ in 0..<200 {
              if let info = try? await Store.info(path: path), info.isLive { liveCount.add(1) }
            }
          }
        }
      }
      #expect(liveCount.value == 0, "of 600 looks at a closed store so many saw a holder")
    }
  }

  /// A checkpoint is being written while writes fail and segments move.
  @Test(arguments: Harness.seeds(1...2)) func crashesAroundCheckpoints(seed: UInt64) async throws {
    let (store, device) = try await Harness.observed(seed: seed)
    let start = device.eventCount
    var random = SeededGenerator(seed: seed &+ 77)
    var plan = FaultPlan(seed: seed)
    for _ in 0..<8 { plan = plan.failing(.write, .once(2 + random.below(160))) }
    device.install(plan)
    await withTaskGroup(of: Void.self) { group in
      for client in 0..<6 as Range<UInt64> {
        group.addTask {
          var writer = ScriptWriter(store, seed: seed &* 1000 &+ client)
          for step in 0..<10 {
            try? await writer.anyStep(keyCount: 6, byteCounts: [40, 900, 5000, 11000])
            if client < 2, step % 3 == 1 { try? await store.store.checkpoint() }
          }
        }
      }
    }
    let history = device.history
    if store.store.health != .poisoned {
      #expect(try await Harness.contents(store.store) == store.oracle.contents)
    }
    try? await store.store.close()
    var judge = CrashJudge(seed: seed)
    await judge.judge(
      history, store.oracle, interval: 500, boundaries: start...history.events.count)
  }

  /// Promise 3 (what survives is a prefix), killed in a rewrite: of the table pages that free the
  /// segments of the frames that move, only the first lands.
  @Test func aCrashWhileARewriteFreesSegments() async throws {
    let device = GateDevice(try await formatted(12 << 20, segment: 32 << 10))
    let store = try await Harness.open(device)
    let log = store.core.log
    let geometry = try Geometry(
      deviceByteCount: device.byteCount,
      segmentByteCount: store.core.geometry.segmentByteCount)
    #expect(geometry.tablePageCount.rawValue > 1)
    let last = UInt32(SegmentTablePage.entriesPerPage) - 2
    func view() -> (current: UInt32, ready: [UInt32], next: Int) {
      log.state.withLock {
        (
          $0.current?.segment.rawValue ?? 0, $0.ready.map(\.segment.rawValue),
          $0.current?.nextPage ?? 0
        )
      }
    }
    while view().current < last - 1 { try await store.put(bytes("hot"), bytes("h", 11000)) }
    #expect(await until { view().ready.count >= 3 })
    try await Task.sleep(nanoseconds: 50_000_000)
    let start = geometry.firstPage(of: SegmentIndex(last)).rawValue * 4096
    device.install { request in
      request.operation == .write && request.byteOffset >= start
        && request.byteOffset < start + 32 << 10 ? .hold : .pass
    }
    for number in 0..<3 {
      try await store.put(bytes("p\(number)"), bytes("p", 11000), durability: .buffered)
    }
    let places = (0..<3).map { number in
      geometry.segment(
        containing: RecordLocation(
          rawValue: store.core.index.find(
            KeyHash(of: bytes("p\(number)").span.bytes, keyedBy: store.core.hashKey))
        ).page)?.rawValue
    }
    #expect(places == [last, last + 1, last + 2])
    let sync = Task { try? await store.sync() }
    #expect(await until { device.heldCount == 1 })
    try await Task.sleep(nanoseconds: 50_000_000)
    let places2: [UInt64] = (0..<4).map {
      geometry.tablePage(1, copy: $0 / 2, slot: $0 % 2).rawValue * 4096
    }
    device.install { request in
      request.operation == .write && places2.contains(request.byteOffset) ? .hold : .pass
    }
    device.failFirst()
    #expect(await until { device.heldCount == 2 })
    let crashed = device.medium.image
    device.release()
    _ = await sync.value
    try await store.close()
    let reopened = try await Harness.open(RAMDevice(image: crashed, delivery: .inline))
    var found: [Bool] = []
    for number in 0..<3 { found.append(try await reopened.get(bytes("p\(number)")) != nil) }
    #expect(found == found.sorted { $0 && !$1 }, "no prefix of the log: \(found)")
    try await reopened.close()
  }
}
