import Glibc

/// Wall and CPU time of this process since it was made.
struct Stopwatch {
  private let start = ContinuousClock.now
  private let startCPU = Stopwatch.processSeconds()

  var seconds: Double { Double((ContinuousClock.now - start) / .nanoseconds(1)) / 1e9 }
  var cpuSeconds: Double { Stopwatch.processSeconds() - startCPU }

  func rate(_ count: Int) -> Rate {
    Rate(rate: Double(count) / seconds, cpuNanoseconds: cpuSeconds / Double(count) * 1e9)
  }

  private static func processSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
