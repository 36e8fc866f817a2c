import Synchronization

/// Wakes one waiting task; a raise while nobody waits is kept for the next wait.
final class Signal: Sendable {
  private struct State {
    var isRaised = false
    var waiter: UnsafeContinuation<Void, Never>?
  }

  // SAFETY: an unsafe continuation is resumed exactly once, because taking it empties the field.
  private let state = Mutex(State())

  func raise() {
    let waiter = state.withLock { state in
      let waiter = unsafe state.waiter
      unsafe state.waiter = nil
      state.isRaised = unsafe waiter == nil
      return unsafe waiter
    }
    unsafe waiter?.resume()
  }

  /// Returns once the signal has been raised. Only one task may wait at a time.
  func wait() async {
    await withUnsafeContinuation { continuation in
      let isRaised = state.withLock { state in
        if state.isRaised {
          state.isRaised = false
          return true
        }
        unsafe precondition(state.waiter == nil, "a signal has one waiter")
        unsafe state.waiter = continuation
        return false
      }
      if isRaised { unsafe continuation.resume() }
    }
  }
}
