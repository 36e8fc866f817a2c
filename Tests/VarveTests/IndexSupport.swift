import Synchronization
import Varve
import VarveFormat

/// A seeded generator (SplitMix64), so that a failing run can be repeated from its printed seed.
struct IndexRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  mutating func keyHash() -> KeyHash {
    KeyHash(fingerprint: next(), selector: UInt32(next() >> 40))
  }
}

/// A seed that differs from run to run, printed by the test that takes it.
func drawSeed(_ test: String = #function) -> UInt64 {
  let seed = UInt64.random(in: 0...UInt64.max)
  print("\(test): seed \(seed)")
  return seed
}

/// Tells tasks that the others are done.
final class TestFlag: Sendable {
  private let flag = Atomic<Bool>(false)

  var isSet: Bool { flag.load(ordering: .acquiring) }

  func set() { flag.store(true, ordering: .releasing) }
}
