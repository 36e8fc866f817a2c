import Synchronization
import VarveIO

/// The store's one way to its device. After a flush has failed no flush reaches the device again:
/// the kernel may have dropped the data and would report success (faults in the field: "fsyncgate",
/// 2018), so nothing may ever be acknowledged on a second try.
final class FlushGate: BlockDevice {
  private let device: any BlockDevice
  private let hasFailed = Atomic<Bool>(false)

  init(_ device: any BlockDevice) { self.device = device }

  var byteCount: UInt64 { device.byteCount }

  /// Requests that have taken too long, where the device counts them.
  var slowRequestCount: UInt64 {
    (device as? any InstrumentedDevice)?.statistics.slowRequestCount ?? 0
  }

  func submit(_ request: IORequest) {
    guard request.operation == .flush else { return device.submit(request) }
    guard !hasFailed.load(ordering: .acquiring) else {
      return request.complete(FlushGate.refusal)
    }
    device.submit(GatedFlush(request, gate: self))
  }

  func submit(contentsOf requests: [IORequest]) { device.submit(contentsOf: requests) }

  func close() { device.close() }

  fileprivate func noteFailure() { hasFailed.store(true, ordering: .releasing) }

  private static let refusal = IOError(
    operation: .flush, byteOffset: 0, byteCount: 0, errorNumber: 5)
}

/// A flush on its way through the gate.
///
/// SAFETY: nothing in it changes.
private final class GatedFlush: IORequest, @unchecked Sendable {
  private let request: IORequest
  private let gate: FlushGate

  init(_ request: IORequest, gate: FlushGate) {
    self.request = request
    self.gate = gate
    unsafe super.init(operation: .flush)
  }

  override func complete(_ error: IOError?) {
    if error != nil { gate.noteFailure() }
    request.complete(error)
  }
}
