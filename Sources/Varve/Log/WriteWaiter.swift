/// A suspended writer. It is resumed exactly once, by whoever takes it out of the list it is in.
@safe struct WriteWaiter: Sendable {
  // SAFETY: taken out of its list before it is resumed, so it is resumed once.
  private let continuation: UnsafeContinuation<StoreError?, Never>

  init(_ continuation: UnsafeContinuation<StoreError?, Never>) {
    unsafe self.continuation = continuation
  }

  func resume(_ error: StoreError?) { unsafe continuation.resume(returning: error) }
}
