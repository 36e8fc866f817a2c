import Glibc
import Synchronization
import VarveIO

@testable import VarveTesting

/// A device that holds requests back, or fails them, as a test tells it.
final class GateDevice: BlockDevice {
  enum Verdict {
    case pass
    case hold
    case fail
  }

  private struct State {
    var judge: @Sendable (IORequest) -> Verdict = { _ in .pass }
    var held: [IORequest] = []
  }

  private let base: any BlockDevice
  private let state = Mutex(State())

  init(_ image: SparseImage) { base = RAMDevice(image: image, delivery: .background) }

  init(over device: SimulatedDevice) { base = device }

  var byteCount: UInt64 { base.byteCount }

  /// What lies below, where that is no simulation.
  var medium: RAMDevice {
    guard let medium = base as? RAMDevice else { preconditionFailure("a simulated device") }
    return medium
  }

  func submit(_ request: IORequest) {
    let verdict = state.withLock { state in
      let verdict = state.judge(request)
      if verdict == .hold { state.held.append(request) }
      return verdict
    }
    switch verdict {
    case .pass: base.submit(request)
    case .hold: break
    case .fail:
      request.complete(
        IOError(
          operation: request.operation, byteOffset: request.byteOffset,
          byteCount: request.byteCount, errorNumber: EIO))
    }
  }

  func close() { base.close() }

  /// Judges every request from now on.
  func install(_ judge: @escaping @Sendable (IORequest) -> Verdict) {
    state.withLock { $0.judge = judge }
  }

  var heldCount: Int { state.withLock { $0.held.count } }

  /// Fails the request that was held first.
  func failFirst() {
    let first = state.withLock { $0.held.removeFirst() }
    first.complete(
      IOError(
        operation: first.operation, byteOffset: first.byteOffset, byteCount: first.byteCount,
        errorNumber: EIO))
  }

  /// Lets the request go that was held first.
  func releaseFirst() {
    let first = state.withLock { $0.held.removeFirst() }
    base.submit(first)
  }

  /// Lets everything go, now and from now on.
  func release() {
    let held = state.withLock { state in
      defer { state.held = [] }
      state.judge = { _ in .pass }
      return state.held
    }
    for request in held { base.submit(request) }
  }
}

/// A number that tasks share.
final class SharedCount: Sendable {
  private let count: Atomic<Int>

  init(_ start: Int = 0) { count = Atomic(start) }

  var value: Int { count.load(ordering: .sequentiallyConsistent) }

  @discardableResult
  func add(_ change: Int) -> Int {
    count.add(change, ordering: .sequentiallyConsistent).newValue
  }
}
