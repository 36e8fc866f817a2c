import Glibc
import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// Overwrites for many times the device, against a dictionary, with closes and kills in between.
/// `VARVE_LONG_TESTS` makes it 50 device-fulls.
@Suite struct SoakTests {
  enum Keys: CaseIterable {
    case uniform
    /// The popular ones are taken most of the time, by Zipf's law with the exponent 0.99.
    case zipf
  }

  private static let deviceByteCount = 2 << 20
  private static let fillCount = Harness.isLong ? 50 : 3
  private static let keyCount = 300

  /// Numbers of keys by chance.
  private struct Chooser {
    let cumulative: [Double]

    init(_ keys: Keys) {
      var total = 0.0
      cumulative = (1...SoakTests.keyCount).map { rank in
        total += keys == .uniform ? 1 : 1 / pow(Double(rank), 0.99)
        return total
      }
    }

    func draw(_ random: inout SeededGenerator) -> Int {
      let point = Double(random.next() >> 11) / Double(1 << 53) * (cumulative.last ?? 0)
      var (low, high) = (0, cumulative.count - 1)
      while low < high {
        let middle = (low + high) / 2
        if cumulative[middle] < point { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }

  @Test(arguments: Keys.allCases) func overwrites(keys: Keys) async throws {
    let seed = Harness.seeds(91...91)[0]
    var random = SeededGenerator(seed: seed)
    let chooser = Chooser(keys)
    var device = RAMDevice(
      image: try await Harness.formatted(byteCount: UInt64(Self.deviceByteCount)),
      delivery: .inline)
    var store = try await Harness.open(device)
    var model: [[UInt8]: [UInt8]] = [:]
    var relocatedCount: UInt64 = 0
    for fill in 0..<Self.fillCount {
      var written = 0
      while written < Self.deviceByteCount {
        let key = Array("key \(chooser.draw(&random))".utf8)
        let level = Durability.allCases[random.below(3)]
        if random.once(in: 10) {
          _ = try await store.delete(key, durability: level)
          model[key] = nil
          written += 64
        } else {
          let value = random.bytes([0, 30, 300, 1200, 3000, 5000][random.below(6)])
          try await store.put(key, value, durability: level)
          model[key] = value
          written += value.count + 64
        }
      }
      #expect(try await Harness.contents(store) == model, "\(keys), seed \(seed), fill \(fill)")
      relocatedCount += store.statistics.relocatedRecordCount
      // Killed, or closed.
      let isKill = fill % 2 == 0
      if isKill { try await store.sync() } else { try await store.close() }
      let next = device.copy(delivery: .inline)
      if isKill { try await store.close() }
      device = next
      store = try await Harness.open(device)
      #expect(store.recoveryReport.outcome == (isKill ? .recovered : .clean))
      #expect(try await Harness.contents(store) == model, "\(keys), seed \(seed), after \(fill)")
    }
    #expect(relocatedCount > 0, "nothing was compacted")
    try await store.close()
  }
}
