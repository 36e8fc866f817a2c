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
