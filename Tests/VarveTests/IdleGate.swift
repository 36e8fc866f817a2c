import Varve
import VarveIO
import VarveTesting

/// Keeps a log from noticing that it is idle, so that no watermark frame follows a write.
final class IdleGate: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream(of: Void.self) }

  func wait() async { for await _ in stream {} }

  func open() { continuation.finish() }

  /// Opens a store that does not notice that it is idle until the gate is opened, which has to come
  /// before `close()`.
  func openStore(
    _ device: any BlockDevice, options: StoreOptions = TestingStore.options
  ) async throws -> Store {
    var environment = StoreEnvironment()
    environment.sleep = { _ in await self.wait() }
    return try await Store.open(device: device, options: options, environment: environment)
  }
}
