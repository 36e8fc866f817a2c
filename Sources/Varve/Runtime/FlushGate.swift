import Glibc
import Synchronization
import VarveIO

/// The store's one way to its device. After a flush has failed no flush reaches the device again:
/// the kernel may have dropped the data and would report success (faults in the field: "fsyncgate",
/// 2018), so nothing may ever be acknowledged on a second try. For the same reason only one flush
/// is in flight at a time: one that overlaps a failed one proves nothing either. Those that come
/// meanwhile share the next.
final class FlushGate: BlockDevice {
  private enum State {
    case idle
    /// A flush is in flight; these requests came since, and wait for the next.
    case flushing(next: [IORequest])
    case failed
  }

  private let device: any BlockDevice
  private let state = Mutex(State.idle)

  init(_ device: any BlockDevice) { self.device = device }

  var byteCount: UInt64 { device.byteCount }

  var isExtensible: Bool { device.isExtensible }

  func presentByteCount() throws(DeviceError) -> UInt64 { try device.presentByteCount() }

  func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError) {
    try device.extend(over: range, progress: progress)
  }

  /// Requests that have taken too long, where the device counts them.
  var slowRequestCount: UInt64 {
    (device as? any InstrumentedDevice)?.statistics.slowRequestCount ?? 0
  }

  func submit(_ request: IORequest) {
    guard request.operation == .flush else { return device.submit(request) }
    enum Turn {
      case now
      case later
      case never
    }
    let turn: Turn = state.withLock { state in
      switch state {
      case .idle:
        state = .flushing(next: [])
        return .now
      case .flushing(let next):
        state = .flushing(next: next + [request])
        return .later
      case .failed: return .never
      }
    }
    switch turn {
    case .now: device.submit(GatedFlush([request], gate: self))
    case .later: break
    case .never: request.complete(FlushGate.refusal)
    }
  }

  func submit(contentsOf requests: [IORequest]) {
    if requests.contains(where: { $0.operation == .flush }) {
      for request in requests { submit(request) }
    } else {
      device.submit(contentsOf: requests)
    }
  }

  func makeExecutor(
    threadCount: Int, onStall: @escaping @Sendable (_ nanoseconds: UInt64) -> Void
  ) throws(DeviceError) -> IOExecutor {
    try device.makeExecutor(threadCount: threadCount, onStall: onStall)
  }

  var discardGranularityByteCount: Int? { device.discardGranularityByteCount }

  func discard(_ range: Range<UInt64>) throws(DeviceError) { try device.discard(range) }

  func close() { device.close() }

  /// DURABILITY: requests that wait were not covered by the flush that ends here; they get one
  /// that begins now.
  fileprivate func completed(_ requests: [IORequest], _ error: IOError?) {
    let waiting: [IORequest] = state.withLock { state in
      guard case .flushing(let next) = state else { return [] }
      if error != nil {
        state = .failed
      } else {
        state = next.isEmpty ? .idle : .flushing(next: [])
      }
      return next
    }
    if error == nil, !waiting.isEmpty { device.submit(GatedFlush(waiting, gate: self)) }
    for request in requests { request.complete(error) }
    if error != nil { for request in waiting { request.complete(FlushGate.refusal) } }
  }

  private static let refusal = IOError(
    operation: .flush, byteOffset: 0, byteCount: 0, errorNumber: EIO)
}

/// A flush on its way through the gate, on behalf of one or more requests.
///
/// SAFETY: nothing in it changes.
private final class GatedFlush: IORequest, @unchecked Sendable {
  private let requests: [IORequest]
  private let gate: FlushGate

  init(_ requests: [IORequest], gate: FlushGate) {
    self.requests = requests
    self.gate = gate
    unsafe super.init(operation: .flush)
  }

  override func complete(_ error: IOError?) { gate.completed(requests, error) }
}
