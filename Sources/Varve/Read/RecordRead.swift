// One read of a record from the device, on behalf of everybody who misses that record at the same
// time. The buffer belongs to the read, not to the tasks: a cancelled task leaves at once, and the
// kernel goes on writing into memory that nobody else uses.
//
// Nearly always one task waits, so its place is in the read itself.

import Synchronization
import VarveFormat
import VarveIO

/// How a read ended.
enum ReadResult: Sendable {
  /// The pages are in memory.
  case loaded(PageBuffer)
  /// The device failed.
  case failed(IOError)
  /// The waiting task was cancelled.
  case cancelled
}

/// A read in flight.
///
/// SAFETY: all state that changes after submission is behind the lock.
final class RecordRead: IORequest, @unchecked Sendable {
  private struct State {
    var result: ReadResult?
    var firstWaiter: WaitingTask?
    var otherWaiters: [WaitingTask] = []
    var nextToken: UInt64 = 0
    var attemptCount = 1

    mutating func takeWaiter(_ token: UInt64) -> Waiter<ReadResult>? {
      if let first = firstWaiter, first.token == token {
        firstWaiter = nil
        return first.waiter
      }
      guard let position = otherWaiters.firstIndex(where: { $0.token == token }) else { return nil }
      return otherWaiters.remove(at: position).waiter
    }
  }

  private struct WaitingTask {
    let token: UInt64
    let waiter: Waiter<ReadResult>
  }

  let location: RecordLocation
  let segment: SegmentIndex
  /// The generation of the segment when the read was pinned.
  let generation: Generation
  private let buffer: PageBuffer
  private let state = Mutex(State())
  private let reader: RecordReader

  init(
    location: RecordLocation, segment: SegmentIndex, generation: Generation, buffer: PageBuffer,
    reader: RecordReader
  ) {
    self.location = location
    self.segment = segment
    self.generation = generation
    self.reader = reader
    self.buffer = buffer
    unsafe super.init(
      operation: .read, memory: buffer.base, byteCount: buffer.byteCount,
      byteOffset: location.page.rawValue * UInt64(Limits.pageByteCount))
  }

  // SAFETY: whoever decodes the buffer holds the read.
  deinit { reader.memory.recycle(buffer) }

  /// An error is retried twice before it counts.
  static let maximumAttemptCount = 3

  override func complete(_ error: IOError?) {
    let mustRetry = state.withLock { state in
      guard error != nil, state.attemptCount < RecordRead.maximumAttemptCount else { return false }
      state.attemptCount += 1
      return true
    }
    if mustRetry { return reader.device.submit(self) }
    let result: ReadResult = if let error { .failed(error) } else { .loaded(buffer) }
    reader.release(self)
    let (first, others) = state.withLock { state in
      state.result = result
      defer {
        state.firstWaiter = nil
        state.otherWaiters = []
      }
      return (state.firstWaiter, state.otherWaiters)
    }
    first?.waiter.resume(result)
    for other in others { other.waiter.resume(result) }
  }

  /// Waits for the result; returns at once when the task is cancelled.
  func wait() async -> ReadResult {
    let token = state.withLock { state in
      defer { state.nextToken += 1 }
      return state.nextToken
    }
    return await withTaskCancellationHandler {
      await suspend { waiter in
        let early: ReadResult? = state.withLock { state in
          if let result = state.result { return result }
          // The handler of a cancellation that came before this point has found no waiter.
          if Task.isCancelled { return .cancelled }
          let task = WaitingTask(token: token, waiter: waiter)
          if state.firstWaiter == nil {
            state.firstWaiter = task
          } else {
            state.otherWaiters.append(task)
          }
          return nil
        }
        if let early { waiter.resume(early) }
      }
    } onCancel: {
      state.withLock { $0.takeWaiter(token) }?.resume(.cancelled)
    }
  }
}
