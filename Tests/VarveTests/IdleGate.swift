/// Keeps a log from noticing that it is idle, so that no watermark frame follows a write.
final class IdleGate: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream(of: Void.self) }

  func wait() async { for await _ in stream {} }

  func open() { continuation.finish() }
}
