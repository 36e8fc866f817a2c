import Dispatch
import Foundation
import Measuring

/// Says every second what a phase has done, on a thread of its own: a task would wait behind tasks
/// that never suspend.
final class SecondSampler: Sendable {
  private let phase: LoadLine.PhaseName
  private let progress: LoadProgress
  /// Ends the phase after so many; nil leaves that to the operations.
  private let secondLimit: Int?
  private let path: String
  private let diskByteCount: @Sendable () -> UInt64
  private let emit: @Sendable (LoadLine) -> Void
  private let wish = DispatchSemaphore(value: 0)
  private let end = DispatchSemaphore(value: 0)

  init(
    _ phase: LoadLine.PhaseName, _ progress: LoadProgress, secondLimit: Int?, path: String,
    diskByteCount: @escaping @Sendable () -> UInt64, emit: @escaping @Sendable (LoadLine) -> Void
  ) {
    self.phase = phase
    self.progress = progress
    self.secondLimit = secondLimit
    self.path = path
    self.diskByteCount = diskByteCount
    self.emit = emit
  }

  func start() {
    Thread {
      self.sample()
      self.end.signal()
    }.start()
  }

  /// Ends the sampling; the second that has begun is not reported.
  func finish() {
    wish.signal()
    end.wait()
  }

  private func sample() {
    var usage = LoadUsage.now(devicePath: path)
    var (putCount, getCount) = (progress.putCount, progress.getCount)
    let first = MonotonicClock.nanoseconds()
    var start = first
    for second in 1... {
      let due = first + UInt64(second) * 1_000_000_000
      let rest = Int(clamping: Int64(bitPattern: due &- MonotonicClock.nanoseconds()))
      guard wish.wait(timeout: .now() + .nanoseconds(max(0, rest))) == .timedOut else { return }
      let now = MonotonicClock.nanoseconds()
      let (puts, gets) = (progress.putCount, progress.getCount)
      let current = LoadUsage.now(devicePath: path)
      emit(
        .second(
          LoadLine.Second(
            phase: phase, nanoseconds: now - start, putCount: puts - putCount,
            getCount: gets - getCount,
            // What was cancelled in this second may exceed what was written.
            writtenByteCount: current.writtenByteCount
              - min(usage.writtenByteCount, current.writtenByteCount),
            cpuSeconds: current.cpuSeconds - usage.cpuSeconds, diskByteCount: diskByteCount())))
      (start, putCount, getCount, usage) = (now, puts, gets, current)
      if second == secondLimit { progress.stop() }
    }
  }
}
