import Foundation
import KeyLoad
import Synchronization
import Testing

/// A whole run over a dictionary.
@Suite struct LoadRunTests {
  private func plan(keys: UInt64 = 1000, tasks: Int = 4) -> LoadPlan {
    var plan = LoadPlan(path: "/", storeByteCount: 1, memoryByteCount: 1, keyCount: keys)
    plan.taskCount = tasks
    plan.warmUpOperationCount = 300
    plan.measuredOperationCount = 5000
    return plan
  }

  private func run(_ store: DictionaryStore, _ plan: LoadPlan) async -> (LoadReport, [LoadLine]) {
    let lines = LineLog()
    await LoadRun(store, plan) { line in lines.add(line) }.run()
    var report = LoadReport()
    for line in lines.all { report.take(line) }
    report.end(status: "none")
    return (report, lines.all)
  }

  private final class LineLog: Sendable {
    private let lines = Mutex<[LoadLine]>([])
    var all: [LoadLine] { lines.withLock { $0 } }
    func add(_ line: LoadLine) { lines.withLock { $0.append(line) } }
  }

  @Test("Every key is loaded, what is planned is done, and what is said is what was done")
  func whole() async throws {
    let store = DictionaryStore()
    var plan = plan()
    plan.readShare = 0.3
    let (report, lines) = await run(store, plan)
    #expect(report.failure == nil)
    #expect(store.keyCount == 1000)
    #expect(store.syncCount == 1)
    #expect(store.isClosed)
    let load = try #require(report.phase(.load))
    #expect(load.putCount == 1000 && load.getCount == 0)
    let warmUp = try #require(report.phase(.warmUp))
    #expect(warmUp.putCount + warmUp.getCount == 300)
    let measured = try #require(report.phase(.measured))
    #expect(measured.putCount + measured.getCount == 5000)
    #expect((1300...1700).contains(measured.getCount))
    #expect(measured.puts.count == measured.putCount)
    #expect(measured.gets.count == measured.getCount)
    #expect(measured.puts.maximumNanoseconds >= measured.puts.p50Nanoseconds)
    #expect(measured.writtenByteCounts == ["puts": measured.putCount])
    #expect(UInt64(store.putKeys.count) == 1000 + warmUp.putCount + measured.putCount)
    #expect(report.closed?.verifiedKeyCount == 1000)
    #expect(report.closed.map { $0.peakResidentByteCount > 0 } == true)
    guard case .opened = lines.first, case .closed = lines.last else {
      Issue.record("the first line opens, the last closes: \(lines)")
      return
    }
  }

  @Test("A run by the clock goes on until its seconds are over, and tells each")
  func timed() async throws {
    var plan = plan()
    plan.measuredOperationCount = nil
    plan.measuredSeconds = 1
    let (report, _) = await run(DictionaryStore(), plan)
    #expect(report.failure == nil)
    let second = try #require(report.seconds.first { $0.phase == .measured })
    #expect(second.putCount > 0)
    #expect(second.nanoseconds >= 1_000_000_000)
    let measured = try #require(report.phase(.measured))
    #expect(measured.putCount >= second.putCount)
    #expect(measured.seconds >= 1)
  }

  @Test("A full store is a failure of the run, which ends in good order", arguments: [500, 3000])
  func full(capacity: Int) async throws {
    let store = DictionaryStore(capacity: capacity)
    let (report, _) = await run(store, plan())
    #expect(report.failure?.code == "full")
    #expect(store.isClosed)
    #expect(report.closed != nil)
    let name = capacity < 1000 ? LoadLine.PhaseName.load : .measured
    let phase = try #require(report.phase(name), "the phase that failed is told")
    #expect(phase.putCount > 0)
    #expect(report.phases.values.reduce(0) { $0 + $1.putCount } == UInt64(capacity))
  }

  @Test("A store that forgets what it acknowledged is found out", arguments: [0.0, 0.5])
  func forgetful(readShare: Double) async throws {
    var plan = plan()
    plan.readShare = readShare
    plan.warmUpOperationCount = 0
    plan.measuredOperationCount = 100
    let (report, _) = await run(DictionaryStore(forgetsEvery: 3), plan)
    #expect(report.failure?.code == "wrong")
  }

  @Test("One task with one seed does the same every time", arguments: [nil, 0.99])
  func determinism(zipf: Double?) async {
    func keys(_ seed: UInt64) async -> [[UInt8]] {
      var plan = plan(tasks: 1)
      plan.seed = seed
      plan.zipfExponent = zipf
      let store = DictionaryStore()
      _ = await run(store, plan)
      return store.putKeys
    }
    let first = await keys(1)
    #expect(await keys(1) == first)
    #expect(await keys(2) != first)
  }

  @Test("A zipfian choice takes few keys often, and not those loaded first")
  func zipfian() async {
    var plan = plan(tasks: 2)
    plan.zipfExponent = 0.99
    plan.warmUpOperationCount = 0
    plan.measuredOperationCount = 20_000
    let store = DictionaryStore()
    _ = await run(store, plan)
    let keys = store.putKeys
    let counts = keys.dropFirst(1000).reduce(into: [:]) { $0[$1, default: 0] += 1 }
    let hottest = counts.sorted { $0.value > $1.value }
    // 1 / (1 + 2^-0.99 + … + 1000^-0.99) = 0.1294: 2,588 of 20,000, ± 48 for one deviation.
    #expect((2350...2830).contains(hottest[0].value))
    let first = Set(keys.prefix(200))
    #expect(hottest.prefix(10).count { first.contains($0.key) } < 10)
  }

  @Test("An executor of threads runs as many tasks at once as it has threads")
  func threads() async {
    let count = 6
    let executor = ThreadExecutor(threadCount: count)
    let meeting = Meeting(count)
    // Each blocks its thread until all are there: with fewer threads this would not end.
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<count { group.addTask(executorPreference: executor) { meeting.attend() } }
    }
    executor.end()
    #expect(meeting.attendanceCount == count)
  }

  private final class Meeting: Sendable {
    private let condition = NSCondition()
    private let expected: Int
    private let present = Mutex(0)
    var attendanceCount: Int { present.withLock { $0 } }

    init(_ expected: Int) { self.expected = expected }

    func attend() {
      condition.lock()
      present.withLock { $0 += 1 }
      condition.broadcast()
      while attendanceCount < expected { condition.wait() }
      condition.unlock()
    }
  }
}
