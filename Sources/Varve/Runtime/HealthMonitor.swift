import Logging
import Synchronization

/// The store's health, and those who listen to what happens to it.
final class HealthMonitor: Sendable {
  private struct State {
    var health = StoreHealth.healthy
    var isDegraded = false
    var isFull = false
    var isPoisoned = false
    var isClosed = false
    var listeners: [AsyncStream<StoreEvent>.Continuation] = []
  }

  private let state = Mutex(State())
  let logger: Logger

  init(logger: Logger) { self.logger = logger }

  var current: StoreHealth { state.withLock { $0.health } }

  /// A new listener first hears how the store was opened and how it is now, so that it misses no
  /// change.
  func subscribe(_ report: RecoveryReport) -> AsyncStream<StoreEvent> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: StoreEvent.self, bufferingPolicy: .bufferingNewest(256))
    let isClosed = state.withLock { state in
      guard !state.isClosed else { return true }
      continuation.yield(.opened(report))
      if state.health != .healthy { continuation.yield(.healthChanged(state.health)) }
      state.listeners.append(continuation)
      return false
    }
    if isClosed { continuation.finish() }
    return stream
  }

  func report(_ event: StoreEvent) {
    let listeners = state.withLock { $0.listeners }
    for listener in listeners { listener.yield(event) }
  }

  func setFull(_ isFull: Bool) { change { $0.isFull = isFull } }
  func setDegraded() { change { $0.isDegraded = true } }
  func setPoisoned() { change { $0.isPoisoned = true } }

  func close() {
    let listeners = state.withLock { state in
      state.isClosed = true
      let listeners = state.listeners
      state.listeners = []
      return listeners
    }
    for listener in listeners { listener.finish() }
  }

  private func change(_ body: (inout State) -> Void) {
    let changed: StoreHealth? = state.withLock { state in
      let before = state.health
      body(&state)
      // The gravest condition names the health.
      state.health =
        state.isPoisoned
        ? .poisoned : state.isDegraded ? .degraded : state.isFull ? .full : .healthy
      return state.health == before ? nil : state.health
    }
    guard let changed else { return }
    logger.notice("store health changed", metadata: ["health": "\(changed.rawValue)"])
    report(.healthChanged(changed))
  }
}
