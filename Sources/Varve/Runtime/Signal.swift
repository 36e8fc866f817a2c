import Synchronization

/// Wakes one waiting task; a raise while nobody waits is kept for the next wait.
final class Signal: Sendable {
  private struct State {
    var isRaised = false
    var waiter: Waiter<Void>?
  }

  private let state = Mutex(State())

  func raise() {
    let waiter = state.withLock { state in
      defer { state.waiter = nil }
      state.isRaised = state.waiter == nil
      return state.waiter
    }
    waiter?.resume(())
  }

  /// Returns once the signal has been raised. Only one task may wait at a time.
  func wait() async {
    await suspend { (waiter: Waiter<Void>) in
      let isRaised = state.withLock { state in
        if state.isRaised {
          state.isRaised = false
          return true
        }
        precondition(state.waiter == nil, "a signal has one waiter")
        state.waiter = waiter
        return false
      }
      if isRaised { waiter.resume(()) }
    }
  }
}
