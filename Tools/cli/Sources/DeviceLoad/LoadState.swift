import Synchronization
import VarveIO

/// What the requests of a load share.
final class LoadState: Sendable {
  let device: any BlockDevice
  let kind: LoadKind
  let source: AddressSource
  let submitNanoseconds = Atomic<UInt64>(0)
  private let deadlineNanoseconds: UInt64
  private let isStopped = Atomic<Bool>(false)
  private let runningCount: Atomic<Int>
  private let latest = Atomic<UInt64>(0)
  private let firstError = Mutex<IOError?>(nil)

  init(
    device: any BlockDevice, kind: LoadKind, source: AddressSource, runningCount: Int,
    deadlineNanoseconds: UInt64
  ) {
    self.device = device
    self.kind = kind
    self.source = source
    self.runningCount = Atomic(runningCount)
    self.deadlineNanoseconds = deadlineNanoseconds
  }

  /// Whether every request has ended; what they recorded can be read then.
  var isFinished: Bool { runningCount.load(ordering: .acquiring) == 0 }
  /// When the last request ended.
  var lastNanoseconds: UInt64 { latest.load(ordering: .relaxed) }
  /// The first error.
  var error: IOError? { firstError.withLock { $0 } }

  /// Whether a request that completes now is to be the last of its place.
  func isOver(_ nanoseconds: UInt64) -> Bool {
    nanoseconds >= deadlineNanoseconds || isStopped.load(ordering: .relaxed)
  }

  func stop() { isStopped.store(true, ordering: .relaxed) }

  func fail(_ error: IOError) {
    firstError.withLock { $0 = $0 ?? error }
    stop()
  }

  func end(_ nanoseconds: UInt64) {
    latest.max(nanoseconds, ordering: .relaxed)
    runningCount.wrappingSubtract(1, ordering: .acquiringAndReleasing)
  }
}
