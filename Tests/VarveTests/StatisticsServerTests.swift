import Foundation
import Testing
import VarveIO
import VarveTesting

@testable import Varve

/// A store that tells its statistics on a socket.
@Suite struct StatisticsServerTests {
  private func options(_ path: String) -> StoreOptions {
    var options = TestingStore.options
    options.statisticsSocketPath = path
    return options
  }

  private func openStore(_ path: String, label: String = "") async throws -> Store {
    try await Store.open(device: API.formatted(label: label), options: options(path))
  }

  /// A path for the socket of a test, removed at the end.
  private func withSocket(_ body: (String) async throws -> Void) async throws {
    try await API.withPath { path in
      defer { unlink(path + ".sock") }
      try await body(path + ".sock")
    }
  }

  @Test func theNumbersOfAStoreAreThoseOfTheSocket() async throws {
    try await withSocket { path in
      let store = try await openStore(path, label: "a \"quoted\" \u{1} label\\")
      for number in 0..<20 { try await store.put("\(number)", "value") }
      _ = try await store.get("3")
      #expect(LocalClient.mode(of: path) == S_IFSOCK | 0o600)
      let answer = try LocalClient.object("stat", at: path)
      #expect(answer["ok"] as? Bool == true)
      #expect(answer["label"] as? String == "a \"quoted\" \u{1} label\\")
      #expect(answer["outcome"] as? String == "clean")
      #expect(answer["readOnly"] as? Bool == false)
      let stat = try #require(answer["stat"] as? [String: Any])
      #expect(stat["keys"] as? Int == 20 && stat["puts"] as? Int == 20)
      #expect(stat["health"] as? String == "healthy")
      for metric in StoreMetric.all { #expect(stat[metric.name] is Int, "\(metric.name)") }
      #expect(try LocalClient.object("other", at: path)["code"] as? String == "usage")
      try await store.close()
      #expect(LocalClient.mode(of: path) == nil)
    }
  }

  @Test func theSegmentsOfAStoreAreThoseOfTheSocket() async throws {
    try await withSocket { path in
      // More than are described at a time.
      let device = try await API.formatted(byteCount: 24 << 20, segmentByteCount: 32 << 10)
      let store = try await Store.open(device: device, options: options(path))
      let value = [UInt8](repeating: 1, count: 9_000)
      for number in 0..<40 { try await store.put("\(number)", value) }
      var segments = store.segments
      // Until nothing changes between two looks: segments are still being made ready and sealed.
      var answer: [String: Any] = [:]
      repeat {
        segments = store.segments
        answer = try LocalClient.object("segments", at: path)
      } while store.segments != segments
      #expect(answer["segmentBytes"] as? Int == 32 << 10)
      let told = try #require(answer["segments"] as? [[String: Any]])
      #expect(told.count > 600 && told.count == segments.count)
      for (told, segment) in zip(told, segments) {
        #expect(told["index"] as? Int == segment.index)
        #expect(told["state"] as? String == segment.state.rawValue)
        #expect(told["stream"] as? String == segment.stream?.rawValue)
        #expect(told["liveRecords"] as? Int == segment.liveRecordCount)
        #expect(told["liveBytes"] as? Int == segment.liveByteCount)
        #expect(told["newerSegments"] as? Int == segment.newerSegmentCount)
        #expect(told["lastSeq"] as? UInt64 == segment.lastSequence)
      }
      try await store.close()
    }
  }

  @Test func eachStoreHasASocketOfItsOwn() async throws {
    try await withSocket { path in
      let first = try await openStore(path, label: "first")
      let log = CapturedLog()
      var shared = options(path)
      shared.logger = log.logger
      let second = try await Store.open(device: API.formatted(label: "second"), options: shared)
      #expect(log.text.contains("statistics are not served"))
      #expect(log.text.contains("warning"))
      try await second.put("works", "all the same")
      try await second.close()
      #expect(try LocalClient.object("stat", at: path)["label"] as? String == "first")
      let third = try await openStore(path + "3", label: "third")
      #expect(try LocalClient.object("stat", at: path + "3")["label"] as? String == "third")
      #expect(try LocalClient.object("stat", at: path)["label"] as? String == "first")
      try await third.close()
      try await first.close()
    }
  }

  @Test func aStoreThatIsDroppedTakesItsSocketAway() async throws {
    try await withSocket { path in
      var store: Store? = try await openStore(path)
      #expect(store?.health == .healthy)
      #expect(LocalClient.mode(of: path) != nil)
      store = nil
      await API.until { LocalClient.mode(of: path) == nil }
    }
  }

  @Test func aPathThatIsTooLongIsRefusedBeforeAnythingHappens() async throws {
    let long = "/tmp/" + String(repeating: "p", count: 200)
    let device = try await API.formatted()
    #expect(
      await API.code { _ = try await Store.open(device: device, options: options(long)) } == .usage)
    try await API.withPath { path in
      #expect(
        await API.code { _ = try await Store.open(path: path, options: options(long)) } == .usage)
    }
  }

  /// Whoever looks neither waits for the background work of the store nor for its device.
  @Test func aStoreWhoseDeviceHangsIsAnswered() async throws {
    try await withSocket { path in
      let device = HoldingDevice(try await API.formatted())
      let store = try await Store.open(device: device, options: options(path))
      try await store.put("before", "1")
      device.hold([.read, .write, .writeDurably, .flush])
      let put = Task { try await store.put("during", "2") }
      let checkpoint = Task { try await store.checkpoint() }
      await API.until { device.heldCount >= 1 && store.statistics.keyCount == 2 }
      let stat = try LocalClient.object("stat", at: path)["stat"] as? [String: Any]
      #expect(stat?["keys"] as? Int == 2)
      #expect(try LocalClient.object("segments", at: path)["ok"] as? Bool == true)
      device.release()
      _ = try await put.value
      try await checkpoint.value
      try await store.close()
    }
  }

  @Test func theConventionIsBesideTheFile() {
    let path = StoreOptions.statisticsSocketPath(forStoreAt: "/var/lib/service/carts.varve")
    #expect(path == "/var/lib/service/carts.varve.sock")
    #expect(StoreOptions.statisticsSocketPath(forStoreAt: "s") == "s.sock")
  }
}
