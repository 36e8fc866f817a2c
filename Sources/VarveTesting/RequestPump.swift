import Glibc
import Synchronization
import VarveIO

/// When a device of this module completes its requests.
public enum Delivery: Sendable {
  /// On threads of the device.
  case background
  /// On the thread that submits, before `submit` returns; a request that is submitted from a
  /// completion is completed right after that completion. No thread is started.
  case inline
  /// Only when the test says so: `SimulatedDevice.deliver()`. Nothing happens in between.
  case manual
}

/// What carries out the requests of a pump.
package protocol RequestExecutor: AnyObject, Sendable {
  /// Transfers the bytes and says how it went. Called once for each request.
  func execute(_ request: IORequest, ticket: UInt64) -> IOError?
}

/// The queue and the threads behind a simulated device: takes requests, has them executed, in the
/// order of arrival or in one that a seed chooses, and completes them.
///
/// Invariants: a request is in the queue or running, once; `runningCount` counts the running ones;
/// after `close()` has returned nothing is in either, and no thread is left.
@safe package final class RequestPump: Sendable {
  private struct Entry {
    let request: IORequest
    let ticket: UInt64
  }

  private struct State {
    /// An entry that was taken is nil: a queue that kept it would keep alive, through the request,
    /// the store that submitted it and thereby this device.
    var queue: [Entry?] = []
    /// The first entry still waiting.
    var head = 0
    var runningCount = 0
    /// Some thread is in the loop of an inline delivery: it takes whatever comes.
    var isDeliveringInline = false
    var isClosing = false
    var closerCount = 0
    /// Set where the order of completion is permuted.
    var random: SeededGenerator?
    var threads: [pthread_t] = []

    var waitingCount: Int { queue.count - head }

    mutating func take() -> Entry? {
      guard waitingCount > 0 else { return nil }
      runningCount += 1
      if var generator = random {
        queue.swapAt(head + generator.below(waitingCount), queue.count - 1)
        random = generator
        return queue.removeLast()
      }
      let entry = queue[head]
      queue[head] = nil
      head += 1
      if head > 64, head * 2 > queue.count {
        queue.removeSubrange(..<head)
        head = 0
      }
      return entry
    }
  }

  private let state: Mutex<State>
  private let executor: any RequestExecutor
  private let delivery: Delivery
  // SAFETY: both semaphores are initialised in `init`, destroyed in `deinit`, and are made for use
  // by several threads.
  private nonisolated(unsafe) let arrivals: UnsafeMutablePointer<sem_t>
  private nonisolated(unsafe) let drained: UnsafeMutablePointer<sem_t>

  /// Starts `threadCount` threads for `.background`; with a seed, requests that wait together
  /// are completed in an order of its choice.
  package init(
    executor: any RequestExecutor, delivery: Delivery, threadCount: Int, orderSeed: UInt64?
  ) {
    self.executor = executor
    self.delivery = delivery
    unsafe arrivals = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    unsafe drained = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    unsafe sem_init(arrivals, 0, 0)
    unsafe sem_init(drained, 0, 0)
    var initial = State()
    initial.random = orderSeed.map { SeededGenerator(seed: $0) }
    state = Mutex(initial)
    guard delivery == .background else { return }
    for _ in 0..<threadCount { startThread() }
  }

  deinit {
    unsafe sem_destroy(arrivals)
    unsafe sem_destroy(drained)
    unsafe arrivals.deallocate()
    unsafe drained.deallocate()
  }

  /// The requests that wait to be completed.
  package var waitingCount: Int { state.withLock { $0.waitingCount } }

  package var isClosed: Bool { state.withLock { $0.isClosing } }

  /// Takes a request, or completes it with ESHUTDOWN after `close()`.
  package func enqueue(_ request: IORequest, ticket: UInt64) {
    let (isRefused, mustDeliver) = state.withLock { state in
      if state.isClosing { return (true, false) }
      state.queue.append(Entry(request: request, ticket: ticket))
      let isFirst = delivery == .inline && !state.isDeliveringInline
      if isFirst { state.isDeliveringInline = true }
      return (false, isFirst)
    }
    if isRefused {
      request.complete(IOError(request, errorNumber: ESHUTDOWN))
    } else if delivery == .background {
      unsafe sem_post(arrivals)
    } else if mustDeliver {
      deliverInline()
    }
  }

  /// Executes and completes one waiting request on this thread; false if none waits.
  package func deliverOne() -> Bool {
    guard let entry = state.withLock({ $0.take() }) else { return false }
    let error = executor.execute(entry.request, ticket: entry.ticket)
    entry.request.complete(error)
    let closerCount = state.withLock { state in
      state.runningCount -= 1
      guard state.isClosing, state.runningCount == 0, state.waitingCount == 0 else { return 0 }
      defer { state.closerCount = 0 }
      return state.closerCount
    }
    for _ in 0..<closerCount { unsafe sem_post(drained) }
    return true
  }

  /// Completes what was accepted, then ends the threads. Idempotent.
  package func close() {
    let threads = state.withLock { state in
      defer { state.threads = [] }
      state.isClosing = true
      return state.threads
    }
    for _ in threads { unsafe sem_post(arrivals) }
    if delivery != .background { while deliverOne() {} }
    for thread in threads {
      // The last reference may go away inside a completion: a thread cannot wait for itself.
      if pthread_equal(thread, pthread_self()) != 0 {
        pthread_detach(thread)
      } else {
        pthread_join(thread, nil)
      }
    }
    let mustWait = state.withLock { state in
      guard state.runningCount > 0, threads.isEmpty else { return false }
      state.closerCount += 1
      return true
    }
    if mustWait { while unsafe sem_wait(drained) != 0 {} }
  }

  private func deliverInline() {
    while true {
      while deliverOne() {}
      let isDone = state.withLock { state in
        guard state.waitingCount == 0 else { return false }
        state.isDeliveringInline = false
        return true
      }
      if isDone { return }
    }
  }

  private func startThread() {
    var thread = pthread_t()
    // SAFETY: the thread takes over exactly the one reference that is retained here, so the pump
    // lives until the thread ends, and a device dropped unclosed is still drained.
    let context = unsafe Unmanaged.passRetained(self)
    let result = unsafe pthread_create(
      &thread, nil,
      { raw in
        guard let raw = unsafe raw else { return nil }
        unsafe Unmanaged<RequestPump>.fromOpaque(raw).takeRetainedValue().run()
        return nil
      }, context.toOpaque())
    precondition(result == 0, "a thread could not be started (errno \(result))")
    state.withLock { $0.threads.append(thread) }
  }

  private func run() {
    while true {
      while unsafe sem_wait(arrivals) != 0 {}
      while deliverOne() {}
      if state.withLock({ $0.isClosing && $0.waitingCount == 0 }) { return }
    }
  }
}

extension IOError {
  /// The error of a request.
  package init(_ request: IORequest, errorNumber: Int32) {
    self.init(
      operation: request.operation, byteOffset: request.byteOffset,
      byteCount: request.byteCount, errorNumber: errorNumber)
  }
}

extension IORequest {
  /// Why the kernel would refuse this request on a device of that capacity, or nil: sectors not
  /// whole, memory misaligned or missing (EINVAL), a write past the end (ENOSPC), a read (EIO).
  package func refusal(deviceByteCount: UInt64) -> IOError? {
    if operation == .flush { return nil }
    if byteCount <= 0 || byteCount % 512 != 0 || byteOffset % 512 != 0 || !isMemoryAligned {
      return IOError(self, errorNumber: EINVAL)
    }
    if byteOffset > deviceByteCount || UInt64(byteCount) > deviceByteCount - byteOffset {
      return IOError(self, errorNumber: operation == .read ? EIO : ENOSPC)
    }
    return nil
  }

  /// The bytes of a write that was not refused.
  ///
  /// SAFETY: the owner keeps the memory alive and leaves it alone until `complete`; the devices of
  /// this module touch it only before they call it.
  package var payload: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    unsafe forEachPiece { unsafe bytes.append(contentsOf: $0) }
    return bytes
  }

  /// Writes the bytes of a write that was not refused, under the rule of `payload`.
  package func write(to image: inout SparseImage) {
    var byteOffset = byteOffset
    unsafe forEachPiece { piece in
      unsafe image.write(UnsafeRawBufferPointer(piece), at: byteOffset)
      byteOffset += UInt64(piece.count)
    }
  }

  /// Reads into the memory of a read that was not refused, under the rule of `payload`.
  package func fill(from image: SparseImage) {
    var byteOffset = byteOffset
    unsafe forEachPiece { piece in
      unsafe image.read(at: byteOffset, into: piece)
      byteOffset += UInt64(piece.count)
    }
  }
}
