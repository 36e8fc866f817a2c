/// Where the process ends because the kernel did what it must not: memory that was lent to it, or
/// that it was never lent, may have been written to, and nothing can be trusted any more. An error
/// would let a store go on with such memory. Nothing else in this library ends the process but a
/// broken precondition.
enum KernelBreach {
  /// A completion that no request waits for, or a second one.
  static func unknownCompletion(_ cookie: SlotCookie) -> Never {
    // The kernel completed what nobody submitted: whose memory it wrote to cannot be known.
    fatalError(
      "completion of an unknown or finished request: slot \(cookie.index), use"
        + " \(cookie.generation)")
  }

  /// A transfer of more than was asked for.
  static func overrun(transferredByteCount: Int, askedByteCount: Int) -> Never {
    // The kernel wrote beyond what was lent to it.
    fatalError("the kernel transferred \(transferredByteCount) of \(askedByteCount) bytes")
  }
}
