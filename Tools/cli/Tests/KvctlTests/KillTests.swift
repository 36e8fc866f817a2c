import Console
import Foundation
import Testing

/// SIGKILL at random points of a seeded stream, again and again on one store: what was acknowledged
/// as written or durable is there, what is there was written, each client's history is cut off at
/// one point, all are cut at the same point of the log, and a second look shows the same.
@Suite struct KillTests {
  /// 25 seeds of 8 cycles: 200 kills.
  static let seeds = (1...25).map { UInt64($0) * 7919 }
  static let cycleCount = 8

  @Test("Kill and recover", arguments: seeds)
  func killAndRecover(seed: UInt64) throws {
    let place = try Workplace()
    let store = try place.store(size: "16MiB")
    // Half of the runs have one client that pipelines, half have eight that wait for their answers.
    var run = KillRun(store: store, seed: seed, clientCount: seed % 2 == 0 ? 1 : 8)
    for cycle in 0..<Self.cycleCount {
      do {
        try run.cycle()
      } catch {
        Issue.record("seed \(seed), cycle \(cycle): \(error)")
        place.keep("store", as: "kill-\(seed)-\(cycle)")
        return
      }
    }
    #expect(run.acknowledgedCount > Self.cycleCount * 10, "seed \(seed): too little was asked")
  }

  @Test("The model finds a lost write, a rollback, an invention, half a batch and a hole")
  func modelCanFail() throws {
    let put = { (key: String, value: String, level: String) in
      Workload.Operation.write(
        [.init(key: key, value: value, condition: .always)], isBatch: false, durability: level)
    }
    var model = ClientModel()
    for (index, operation) in [
      put("a", "1", "durable"), put("a", "2", "written"), put("b", "3", "buffered"),
      put("c", "4", "buffered"),
    ].enumerated() {
      let number = model.send(operation)
      try model.take(["ok": true, "seq": .count(index + 1)], number: number)
    }
    _ = model.send(
      .write(
        [
          .init(key: "d", value: "5", condition: .always),
          .init(key: "e", value: "6", condition: .always),
        ], isBatch: true, durability: "durable"))
    func state(_ pairs: [String: (String, Int64)]) -> ClientModel.State {
      pairs.mapValues { .init(value: $0.0, sequence: $0.1) }
    }
    #expect(model.matches(state(["a": ("2", 2)])) == [2])
    #expect(model.matches(state(["a": ("2", 2), "b": ("3", 3)])) == [3])
    let all: [String: (String, Int64)] = [
      "a": ("2", 2), "b": ("3", 3), "c": ("4", 4), "d": ("5", 5), "e": ("6", 6),
    ]
    #expect(model.matches(state(all)) == [5])
    #expect(model.matches(state([:])).isEmpty, "a lost write")
    #expect(model.matches(state(["a": ("1", 1)])).isEmpty, "a rollback")
    #expect(model.matches(state(["a": ("2", 2), "z": ("9", 9)])).isEmpty, "an invention")
    #expect(model.matches(state(["a": ("2", 2), "c": ("4", 4)])).isEmpty, "a hole")
    #expect(model.matches(state(all.filter { $0.key != "d" })).isEmpty, "half a batch")
    #expect(model.matches(state(["a": ("2", 7)])).isEmpty, "another sequence number")
  }
}
