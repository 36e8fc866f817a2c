import Glibc
import Logging
import Synchronization
import Testing
import Varve
import VarveIO
import VarveTesting

/// What the tests of the public API share.
enum API {
  /// The code with which `body` fails, nil where it does not.
  static func code(_ body: () async throws -> Void) async -> StoreError.Code? {
    do {
      try await body()
      return nil
    } catch let error as StoreError {
      return error.code
    } catch {
      Issue.record("not a StoreError: \(error)")
      return nil
    }
  }

  static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  static func formatted(
    byteCount: UInt64 = 8 << 20, segmentByteCount: Int? = nil, label: String = ""
  ) async throws -> RAMDevice {
    let device = RAMDevice(byteCount: byteCount)
    try await Store.format(
      device: device, options: FormatOptions(segmentByteCount: segmentByteCount, label: label))
    return device
  }

  /// A path for a store of this test alone, removed with everything beside it by `body`'s end.
  static func withPath(_ body: (String) async throws -> Void) async throws {
    var template = Array("/var/tmp/varve-api-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      Issue.record("no temporary directory: errno \(errno)")
      return
    }
    let directory = String(
      decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    let path = directory + "/store.varve"
    defer {
      unlink(path)
      rmdir(directory)
    }
    try await body(path)
  }

  /// Yields until the condition holds: for what another task is about to do. What never happens is
  /// an issue, not a hang.
  static func until(
    _ condition: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation
  ) async {
    let limit = ContinuousClock.now + .seconds(60)
    while !condition() {
      guard ContinuousClock.now < limit else {
        Issue.record("it never came about", sourceLocation: sourceLocation)
        return
      }
      await Task.yield()
    }
  }
}

/// A RAM device that counts its requests and holds some kinds of them back until told.
final class HoldingDevice: BlockDevice {
  private struct State {
    var heldKinds: Set<IOOperation> = []
    var held: [IORequest] = []
    var counts: [IOOperation: Int] = [:]
    var lastReadByteOffset: UInt64 = 0
    var isClosed = false
  }

  let base: RAMDevice
  private let state = Mutex(State())

  init(_ base: RAMDevice) { self.base = base }

  var byteCount: UInt64 { base.byteCount }
  var heldCount: Int { state.withLock { $0.held.count } }
  var lastReadByteOffset: UInt64 { state.withLock { $0.lastReadByteOffset } }
  var isClosed: Bool { state.withLock { $0.isClosed } }

  func count(_ kind: IOOperation) -> Int { state.withLock { $0.counts[kind, default: 0] } }

  func submit(_ request: IORequest) {
    let isHeld = state.withLock { state in
      state.counts[request.operation, default: 0] += 1
      if request.operation == .read { state.lastReadByteOffset = request.byteOffset }
      guard state.heldKinds.contains(request.operation) else { return false }
      state.held.append(request)
      return true
    }
    if !isHeld { base.submit(request) }
  }

  func hold(_ kinds: Set<IOOperation>) { state.withLock { $0.heldKinds = kinds } }

  /// Lets everything go, from now on too.
  func release() {
    hold([])
    releaseHeld()
  }

  /// Lets go what is held now.
  func releaseHeld() {
    let held = state.withLock { state in
      defer { state.held = [] }
      return state.held
    }
    for request in held { base.submit(request) }
  }

  /// Lets go the last one that is held.
  func releaseLastHeld() {
    guard let last = state.withLock({ $0.held.popLast() }) else { return }
    base.submit(last)
  }

  func close() {
    release()
    base.close()
    state.withLock { $0.isClosed = true }
  }
}

/// Ends loops of other tasks.
final class StopFlag: Sendable {
  private let value = Atomic<Bool>(false)

  var isSet: Bool { value.load(ordering: .relaxed) }

  func set() { value.store(true, ordering: .relaxed) }
}

/// Keeps what is logged.
final class CapturedLog: Sendable {
  private let lines = Mutex<[String]>([])

  var text: String { lines.withLock { $0.joined(separator: "\n") } }

  var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

  private struct Handler: LogHandler {
    let log: CapturedLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      log.lines.withLock { $0.append("\(event.level): \(event.message)") }
    }
  }
}
