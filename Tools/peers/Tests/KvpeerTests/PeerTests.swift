import Foundation
import KeyLoad
import Synchronization
import Testing

@testable import kvpeer

/// Every peer does what the protocol says. Run by hand, where the libraries are:
/// `swift test --package-path Tools/peers`.
@Suite struct PeerTests {
  private final class LineLog: Sendable {
    private let lines = Mutex<[LoadLine]>([])
    var all: [LoadLine] { lines.withLock { $0 } }
    func add(_ line: LoadLine) { lines.withLock { $0.append(line) } }
  }

  private func plan() -> LoadPlan {
    var plan = LoadPlan(
      path: "/var/tmp/kvpeer-tests-\(UUID())", storeByteCount: 0, memoryByteCount: 16 << 20,
      keyCount: 5000)
    plan.readShare = 0.5
    plan.measuredOperationCount = 20_000
    return plan
  }

  @Test(
    "RocksDB runs a plan, and every value is the one that was written", arguments: [true, false])
  func rocksDB(direct: Bool) async throws {
    var plan = plan()
    plan.usesDirectIO = direct
    defer { try? FileManager.default.removeItem(atPath: plan.path) }
    let store = try RocksDBStore(plan)
    #expect(store.name.contains("."), "the version is told: \(store.name)")
    #expect(store.configuration.contains(direct ? "compaction on" : "compaction off"))
    #expect(try await store.get([1].span.bytes) { _ in true } == nil)
    let lines = LineLog()
    await LoadRun(store, plan) { lines.add($0) }.run()
    var report = LoadReport()
    for line in lines.all { report.take(line) }
    report.end(status: "none")
    #expect(report.failure == nil)
    #expect(report.closed?.verifiedKeyCount == 1000)
    #expect(report.closed?.diagnostics.contains("Cumulative writes") == true)
    let measured = try #require(report.phase(.measured))
    #expect(measured.putCount + measured.getCount == 20_000)
    // At least the write-ahead log has every byte.
    #expect(measured.writtenByteCount >= LoadPlan.userByteCount(puts: measured.putCount))
    #expect(measured.diskByteCount >= LoadPlan.userByteCount(puts: plan.keyCount))
  }

  @Test("What cannot be opened is a failure, not a crash")
  func refused() {
    var plan = plan()
    plan.path = "/proc/nothing/here"
    #expect(throws: LoadFailure.self) { try RocksDBStore(plan) }
  }
}
