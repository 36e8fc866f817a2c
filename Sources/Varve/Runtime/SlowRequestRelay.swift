import Logging
import Synchronization
import VarveIO

/// Carries a device's word of requests that do not come back to the log and to the store's
/// listeners. The device is there before the store, so the listeners are connected later.
final class SlowRequestRelay: Sendable {
  private struct State {
    var health: HealthMonitor?
    var count = 0
  }

  private let state = Mutex(State())
  private let logger: Logger

  init(logger: Logger) { self.logger = logger }

  /// Called on a thread of the device.
  func report(_ request: SlowRequest) {
    let seconds = Double(request.ageNanoseconds) / 1e9
    logger.warning(
      "a request to the device has been in flight for more than 5 seconds",
      metadata: [
        "operation": "\(request.operation)", "byteOffset": "\(request.byteOffset)",
        "byteCount": "\(request.byteCount)", "seconds": "\(seconds)",
      ])
    let (health, count) = state.withLock { state in
      state.count += 1
      return (state.health, state.count)
    }
    health?.report(.slowIO(count: count))
  }

  /// From here on, listeners hear of it too.
  func connect(_ health: HealthMonitor) { state.withLock { $0.health = health } }
}
