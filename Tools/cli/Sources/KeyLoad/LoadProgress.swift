import Synchronization

/// What the tasks of a phase share: the operations still to be done, and whether to go on.
final class LoadProgress: Sendable {
  /// Operations that a task takes at once: if all took each from here, the cores would wait for
  /// each other.
  private static let handCount: UInt64 = 64

  private let limit: UInt64
  private let dealt = Atomic<UInt64>(0)
  private let isStopped = Atomic<Bool>(false)
  private let firstFailure = Mutex<LoadFailure?>(nil)
  /// A tally for each task.
  let tallies: [Tally]

  /// What one task has done: it alone writes, anybody may read.
  final class Tally: Sendable {
    private let puts = Atomic<UInt64>(0)
    private let gets = Atomic<UInt64>(0)
    var putCount: UInt64 { puts.load(ordering: .relaxed) }
    var getCount: UInt64 { gets.load(ordering: .relaxed) }
    func addPut() { puts.store(putCount + 1, ordering: .relaxed) }
    func addGet() { gets.store(getCount + 1, ordering: .relaxed) }
  }

  init(limit: UInt64?, taskCount: Int) {
    self.limit = limit ?? .max / 2
    tallies = (0..<taskCount).map { _ in Tally() }
  }

  var failure: LoadFailure? { firstFailure.withLock { $0 } }
  var putCount: UInt64 { tallies.reduce(0) { $0 + $1.putCount } }
  var getCount: UInt64 { tallies.reduce(0) { $0 + $1.getCount } }

  /// The numbers of the next operations, or nil when the phase is over.
  func take() -> Range<UInt64>? {
    guard !isStopped.load(ordering: .relaxed) else { return nil }
    let first = dealt.wrappingAdd(Self.handCount, ordering: .relaxed).oldValue
    return first < limit ? first..<min(first + Self.handCount, limit) : nil
  }

  /// Ends the phase.
  func stop() { isStopped.store(true, ordering: .relaxed) }

  /// Ends the phase with a failure; the first one counts.
  func fail(_ failure: LoadFailure) {
    firstFailure.withLock { if $0 == nil { $0 = failure } }
    stop()
  }
}
