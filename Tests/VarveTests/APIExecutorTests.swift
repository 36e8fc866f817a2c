import Testing
import VarveTesting

@testable import Varve
@testable import VarveIO

/// Tasks on `Store.executor`.
@Suite struct APIExecutorTests {
  /// Everything works there, on a real device and on one in memory, and the store may be closed
  /// from there.
  @Test(arguments: [true, false]) func aServiceRunsThere(isFile: Bool) async throws {
    try await API.withPath { path in
      var options = StoreOptions(memoryBudget: 16 << 20)
      options.cacheEnabled = false
      options.executorThreadCount = 2
      let store: Store
      if isFile {
        try await Store.create(path: path, options: FormatOptions(byteCount: 8 << 20))
        store = try await Store.open(path: path, options: options)
      } else {
        store = try await Store.open(device: try await API.formatted(), options: options)
      }
      await withTaskExecutorPreference(store.executor) {
        await withTaskGroup(of: Void.self) { group in
          for task in 0..<16 {
            group.addTask {
              await Self.work(store, task)
            }
          }
        }
      }
      let keyCount = store.statistics.keyCount
      #expect(keyCount == 16 * 20)
      try await Task(executorPreference: store.executor) {
        #expect(IOLoop.current != nil)
        try await store.close()
        #expect(IOLoop.current != nil)
      }.value
      #expect(await API.code { _ = try await store.get("k") } == .closed)
      // Tasks go on there.
      await Task(executorPreference: store.executor) { #expect(IOLoop.current != nil) }.value
    }
  }

  private static func work(_ store: Store, _ task: Int) async {
    do {
      for number in 0..<20 {
        let key = "\(task)-\(number)"
        try await store.put(key, "value of \(key)")
        #expect(try await store.get(key)?.value == Array("value of \(key)".utf8))
      }
      let keys = (0..<20).map { API.bytes("\(task)-\($0)") }
      #expect(try await store.multiGet(keys).allSatisfy { $0 != nil })
      #expect(IOLoop.current != nil)
    } catch {
      Issue.record(error)
    }
  }

  enum Answer: CaseIterable {
    case hit, absent, many
  }

  /// A task that finds all in memory gives way to the others of its thread.
  @Test(arguments: Answer.allCases) func answersGiveWay(_ answer: Answer) async throws {
    var options = StoreOptions(memoryBudget: 16 << 20)
    options.executorThreadCount = 1
    let store = try await Store.open(device: try await API.formatted(), options: options)
    try await store.put("hit", "value")
    let isDone = StopFlag()
    await withTaskGroup(of: Void.self) { group in
      group.addTask(executorPreference: store.executor) {
        while !isDone.isSet {
          switch answer {
          case .hit: _ = try? await store.get("hit")
          case .absent: _ = try? await store.get("absent")
          case .many: _ = try? await store.multiGet([API.bytes("hit"), API.bytes("absent")])
          }
        }
      }
      group.addTask(executorPreference: store.executor) {
        for number in 0..<5 { _ = try? await store.put("\(number)", "value") }
        isDone.set()
      }
    }
    #expect(store.statistics.keyCount == 6)
    try await store.close()
  }

  @Test func stallsAreCountedAndLogged() async throws {
    let log = CapturedLog()
    var options = StoreOptions(memoryBudget: 16 << 20, logger: log.logger)
    options.executorThreadCount = 1
    let store = try await Store.open(device: try await API.formatted(), options: options)
    await Task(executorPreference: store.executor) {
      // Computes for long, as it should not.
      let end = ContinuousClock.now + .milliseconds(8)
      while ContinuousClock.now < end {}
    }.value
    await Task(executorPreference: store.executor) {}.value
    #expect(store.statistics.loopStallCount >= 1)
    #expect(log.text.contains("warning: loopStall"))
    try await store.close()
  }

  @Test(arguments: [0, 65]) func threadCountsHaveBounds(count: Int) async throws {
    try await API.withPath { path in
      try await Store.create(path: path, options: FormatOptions(byteCount: 8 << 20))
      var options = StoreOptions()
      options.executorThreadCount = count
      let refused = options
      #expect(
        await API.code { _ = try await Store.open(path: path, options: refused) } == .usage)
    }
  }
}
