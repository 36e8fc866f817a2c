import Synchronization

/// Since when a slot or a thread works on a request, for whoever looks for requests that hang.
/// Everything is atomic, because the observer reads at any time; a report may mix two requests,
/// which its reader can bear.
struct InFlightMark: ~Copyable {
  /// By the monotonic clock; 0 while idle.
  private let startNanoseconds = Atomic<UInt64>(0)
  private let byteOffset = Atomic<UInt64>(0)
  private let byteCountAndOperation = Atomic<UInt64>(0)
  /// The start that was reported last.
  private let reportedNanoseconds = Atomic<UInt64>(0)

  borrowing func begin(_ request: IORequest, nanoseconds: UInt64) {
    let packed = UInt64(request.byteCount) << 8 | UInt64(request.operation.rawValue)
    byteOffset.store(request.byteOffset, ordering: .relaxed)
    byteCountAndOperation.store(packed, ordering: .relaxed)
    startNanoseconds.store(nanoseconds, ordering: .releasing)
  }

  borrowing func end() { startNanoseconds.store(0, ordering: .relaxed) }

  /// Whether a request is being worked on.
  var isActive: Bool { startNanoseconds.load(ordering: .relaxed) != 0 }

  /// What to report, if the request is older than the limit and has not been reported.
  borrowing func slowRequest(
    nowNanoseconds: UInt64, limitNanoseconds: UInt64, isInFlight: Bool
  ) -> SlowRequest? {
    let start = startNanoseconds.load(ordering: .acquiring)
    guard start != 0, nowNanoseconds >= start, nowNanoseconds - start >= limitNanoseconds,
      reportedNanoseconds.exchange(start, ordering: .relaxed) != start
    else { return nil }
    let packed = byteCountAndOperation.load(ordering: .relaxed)
    return SlowRequest(
      operation: IOOperation(rawValue: UInt8(packed & 0xff)) ?? .read,
      byteOffset: byteOffset.load(ordering: .relaxed), byteCount: Int(packed >> 8),
      ageNanoseconds: nowNanoseconds - start, isInFlight: isInFlight)
  }
}
