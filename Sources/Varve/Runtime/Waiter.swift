/// A suspended task. Whoever takes it out of the place where it waits resumes it, exactly once.
@safe struct Waiter<Value: Sendable>: Sendable {
  // SAFETY: a waiter is taken out of the one place that holds it before it is resumed.
  private let continuation: UnsafeContinuation<Value, Never>

  fileprivate init(_ continuation: UnsafeContinuation<Value, Never>) {
    unsafe self.continuation = continuation
  }

  func resume(_ value: Value) { unsafe continuation.resume(returning: value) }
}

/// A writer that waits for its frame: resumed with nil, or with why it failed.
typealias WriteWaiter = Waiter<StoreError?>

/// Suspends the task until the waiter that `body` is given is resumed.
func suspend<Value: Sendable>(_ body: (Waiter<Value>) -> Void) async -> Value {
  unsafe await withUnsafeContinuation { continuation in unsafe body(Waiter(continuation)) }
}
