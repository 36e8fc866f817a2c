// A store as a service of swift-service-lifecycle. Behind the package trait `Lifecycle`, so that who
// does not ask for it does not resolve that package either.

import Varve

#if Lifecycle
  import ServiceLifecycle

  extension Store: Service {
    /// Keeps the store open until the service group shuts down gracefully, then drains and closes it:
    /// accepted work is finished, made durable, and the store marked clean.
    ///
    /// List the store before the services that use it: a group shuts down in reverse order, so the
    /// store is drained after its last user has stopped. It is closed, too, when the task is
    /// cancelled. The call returns once the store is closed, whoever closed it.
    ///
    /// - Throws: `StoreError` with the code `poisoned` as soon as a flush of the device has failed:
    ///   the store has then been closed, and only opening it again can make it take writes; what
    ///   `close()` throws where the drain fails.
    public func run() async throws {
      // Subscribed to before the health is read: what happens in between is in the sequence.
      let events = events
      var isPoisoned = health == .poisoned
      if !isPoisoned {
        for await event in events.cancelOnGracefulShutdown() {
          guard case .healthChanged(.poisoned) = event else { continue }
          isPoisoned = true
          break
        }
      }
      do {
        try await close()
      } catch {
        guard error.code == .poisoned || isPoisoned else { throw error }
        isPoisoned = true
      }
      guard !isPoisoned else {
        throw StoreError(
          .poisoned,
          "a flush of the device failed while the store was open; it is closed now. Check the "
            + "device, then start the service again: what was acknowledged as durable is there")
      }
    }
  }
#endif
