import Glibc
import Testing

@testable import Varve
@testable import VarveTesting

/// Stores in files that grow while they are open.
@Suite struct GrowthFileTests {
  private static let mebibyte: UInt64 = 1 << 20

  private func withStore(
    engine: IOEngineChoice = .automatic, _ body: (Store, String) async throws -> Void
  ) async throws {
    try await API.withPath { path in
      try await Store.create(
        path: path,
        options: FormatOptions(
          byteCount: 4 * Self.mebibyte, segmentByteCount: Harness.segmentByteCount))
      var options = Harness.options
      options.engine = engine
      let store = try await Store.open(path: path, options: options)
      try await store.put("key", "value")
      try await body(store, path)
    }
  }

  private func status(_ path: String) -> stat {
    var status = stat()
    #expect(stat(path, &status) == 0)
    return status
  }

  @Test(arguments: [IOEngineChoice.linuxAIO, .threads]) func everyEngine(engine: IOEngineChoice)
    async throws
  {
    try await withStore(engine: engine) { store, path in
      let progress = SharedCount()
      let plan = try await store.grow(toByteCount: 12 * Self.mebibyte + 100) { done, total in
        #expect(total == 8 * Self.mebibyte && done <= total)
        progress.add(1)
      }
      #expect(progress.value >= 3)
      #expect(plan.grownByteCount == 12 * Self.mebibyte)
      #expect(status(path).st_size == 12 << 20)
      // Filled, not only longer.
      #expect(status(path).st_blocks * 512 >= 12 << 20)
      let value = [UInt8](repeating: 7, count: 3000)
      for number in 0..<1400 { try await store.put("k\(number)", value, durability: .buffered) }
      try await store.close()
      let reopened = try await Store.open(path: path, options: Harness.options)
      #expect(reopened.statistics.keyCount == 1401)
      #expect(try await reopened.get("k1399")?.value == value)
      try await reopened.close()
      #expect(truncate(path, 8 << 20) == 0)
      let code = await API.code { _ = try await Store.open(path: path, options: Harness.options) }
      #expect(code == .refused)
    }
  }

  @Test func aTaskThatIsCancelled() async throws {
    try await withStore { store, path in
      let growth = Task {
        try await store.grow(toByteCount: 32 * Self.mebibyte) { done, _ in
          // The task of the fill, as the tools do it.
          if done > 0 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }
      #expect(await API.code { _ = try await growth.value } == .cancelled)
      #expect(status(path).st_size == 4 << 20)
      try await store.grow(toByteCount: 8 * Self.mebibyte)
      #expect(try await store.get("key")?.text == "value")
      try await store.close()
    }
  }

  @Test func aStoreThatIsClosedMeanwhile() async throws {
    try await withStore { store, path in
      let hasBegun = StopFlag()
      async let growth = API.code {
        try await store.grow(toByteCount: 32 * Self.mebibyte) { _, _ in
          hasBegun.set()
          while store.core.isOpen { sched_yield() }
        }
      }
      await API.until { hasBegun.isSet }
      // While it grows it works, tells what it is, and does not grow twice.
      try await store.put("key", "later")
      #expect(await API.code { try await store.grow(toByteCount: 8 * Self.mebibyte) } == .conflict)
      #expect(try store.growthPlan(toByteCount: 8 * Self.mebibyte).byteCount == 4 * Self.mebibyte)
      try await store.close()
      #expect(await growth == .closed)
      #expect(status(path).st_size == 4 << 20)
      let reopened = try await Store.open(path: path, options: Harness.options)
      #expect(reopened.recoveryReport.outcome == .clean)
      #expect(try await reopened.get("key")?.text == "later")
      try await reopened.close()
    }
  }

  @Test func aPlanOfAStoreInUse() async throws {
    try await withStore { store, path in
      let plan = try await Store.growthPlan(path: path, toByteCount: 8 * Self.mebibyte)
      #expect(plan.fillByteCount == 4 * Self.mebibyte && plan.byteCount == 4 * Self.mebibyte)
      try await store.close()
    }
  }
}
