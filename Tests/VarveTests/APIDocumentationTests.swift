import CoreMetrics
import Foundation
import Synchronization
import Testing
import VarveIO
import VarveTesting

@testable import Varve

/// That the catalogue says what the code does.
@Suite struct APIDocumentationTests {
  private static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
  }

  private func page(_ name: String) throws -> String {
    try text("Sources/Varve/Varve.docc/\(name).md")
  }

  /// The Swift code of a page, block by block.
  private func code(_ page: String) -> [String] {
    page.components(separatedBy: "```swift\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
  }

  /// What stands in the first column of the tables of a page, between back quotes.
  private func firstColumn(_ page: String) -> [String] {
    page.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
      String(line.dropFirst(3).prefix { $0 != "`" })
    }
  }

  @Test func theSnippetOfGettingStartedRuns() async throws {
    let blocks = code(try page("GettingStarted"))
    #expect(blocks == [try text("Tests/VarveTests/GettingStartedSnippet.swift")])
    try await API.withPath { path in
      #expect(try await useStore(at: path) == 2)
      let store = try await Store.open(path: path, options: TestingStore.options)
      #expect(store.recoveryReport.outcome == .clean)
      #expect(try await store.get("visits")?.text == "1")
      #expect(try await store.get("order:1")?.text == "4 apples")
      try await store.close()
    }
  }

  @Test func theSnippetOfExecutorsRuns() async throws {
    #expect(
      code(try page("Executors")) == [try text("Tests/VarveTests/ExecutorSnippet.swift")])
    let store = try await Store.open(device: try await API.formatted())
    try await store.put("price:apple", "3")
    try await serve((0..<9).map { Cart(owner: "\($0)") }, in: store)
    #expect(store.statistics.keyCount == 10)
    try await store.close()
  }

  @Test func theSnippetsOfTestingAreTests() throws {
    let blocks = code(try page("Testing"))
    let tests = try text("Tests/VarveTests/TestingSnippet.swift")
    #expect(blocks.count == 4)
    for block in blocks {
      #expect(tests.contains(block.replacingOccurrences(of: "import VarveTesting\n\n", with: "")))
    }
  }

  @Test func theTestingStoreIsAsLargeAsThePageSays() async throws {
    let page = try page("Testing")
    let testing = try await TestingStore()
    #expect(testing.device.byteCount == 64 << 20)
    #expect(testing.store.maximumValueByteCount == 245_624)
    #expect(page.contains("64 MiB") && page.contains("up to 245,624 bytes"))
    try await testing.store.close()
    #expect(page.contains("`TestingStore(byteCount: 2 << 30, segmentByteCount: 32 << 20)`"))
    let large = try await TestingStore(byteCount: 2 << 30, segmentByteCount: 32 << 20)
    #expect(large.store.maximumValueByteCount == 16 << 20)
    try await large.store.close()
  }

  @Test func everyCodeIsExplained() throws {
    let source = try text("Sources/Varve/API/StoreError.swift")
    let names = source.components(separatedBy: "Code(rawValue: \"").dropFirst().compactMap {
      $0.components(separatedBy: "\"").first
    }
    #expect(names.count >= 17)
    #expect(Set(firstColumn(try page("Errors"))) == Set(names))
  }

  @Test func everyOptionIsExplained() throws {
    let page = try page("Configuration")
    for (type, options) in [
      ("StoreOptions", StoreOptions() as Any), ("FormatOptions", FormatOptions() as Any),
    ] {
      for label in Mirror(reflecting: options).children.compactMap(\.label)
      where label != "progress" {
        #expect(page.contains("| ``\(type)/\(label)`` |"), "\(type).\(label)")
      }
    }
  }

  @Test func theBoundsOnThePageAreThoseOfTheCode() throws {
    let page = try page("Configuration")
    let buffers = MemoryPlan.bufferByteBounds
    #expect(
      page.contains(
        "- write buffers: an eighth, from \(buffers.lowerBound >> 20) to "
          + "\(buffers.upperBound >> 20) MiB;"))
    #expect(page.contains("| 1 to \(DeviceOptions.maximumContextCount), else `usage` |"))
    #expect(page.contains("| at least \(MemoryPlan.minimumByteCount >> 20) MiB |"))
  }

  @Test func everyMetricIsOnThePage() async throws {
    let factory = RecordingFactory()
    var options = TestingStore.options
    options.metricsFactory = factory
    let device = try await API.formatted(label: "carts")
    let store = try await Store.open(device: device, options: options)
    for number in 0..<5 { try await store.put("\(number)", "1") }
    try await store.close()
    let published = factory.published
    let sections = try page("Metrics").components(separatedBy: "\n## ")
    for (title, kind) in [("Counters", "counter"), ("Gauges", "gauge"), ("Timers", "timer")] {
      let section = try #require(sections.first { $0.hasPrefix(title) })
      let names = published.filter { $0.value.kind == kind }.map(\.key)
      #expect(Set(firstColumn(section)) == Set(names), "\(title)")
      #expect(firstColumn(section).count == names.count)
    }
    #expect(published.values.allSatisfy { $0.dimensions == "store=carts" })
    #expect(published["varve_puts_total"]?.value == 5)
    #expect(published["varve_keys"]?.value == 5)
    #expect(published["varve_health"]?.value == 0)
    #expect(published["varve_memory_budget_bytes"]?.value == Double(8 << 20))
    #expect((published["varve_flushes_total"]?.value ?? 0) > 0)
  }
}

/// Keeps what is published.
private final class RecordingFactory: MetricsFactory {
  struct Metric: Sendable {
    var kind: String
    var dimensions: String
    var value: Double
  }

  private let metrics = Mutex<[String: Metric]>([:])

  var published: [String: Metric] { metrics.withLock { $0 } }

  /// One metric, of whatever kind.
  final class Handler: CounterHandler, RecorderHandler, TimerHandler {
    let label: String
    let factory: RecordingFactory

    init(_ label: String, _ factory: RecordingFactory) {
      self.label = label
      self.factory = factory
    }

    func increment(by amount: Int64) { factory.change(label) { $0 += Double(amount) } }
    func reset() { factory.change(label) { $0 = 0 } }
    func record(_ value: Int64) { factory.change(label) { $0 = Double(value) } }
    func record(_ value: Double) { factory.change(label) { $0 = value } }
    func recordNanoseconds(_ duration: Int64) { factory.change(label) { $0 = Double(duration) } }
  }

  private func change(_ label: String, _ body: (inout Double) -> Void) {
    metrics.withLock { metrics in
      guard var metric = metrics[label] else { return }
      body(&metric.value)
      metrics[label] = metric
    }
  }

  private func make(
    _ kind: String, _ label: String, _ dimensions: [(String, String)]
  ) -> Handler {
    let text = dimensions.map { "\($0)=\($1)" }.joined(separator: ",")
    metrics.withLock { $0[label] = Metric(kind: kind, dimensions: text, value: 0) }
    return Handler(label, self)
  }

  func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    make("counter", label, dimensions)
  }

  func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    make(aggregate ? "recorder" : "gauge", label, dimensions)
  }

  func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    make("timer", label, dimensions)
  }

  func destroyCounter(_ handler: any CounterHandler) {}
  func destroyRecorder(_ handler: any RecorderHandler) {}
  func destroyTimer(_ handler: any TimerHandler) {}
}
