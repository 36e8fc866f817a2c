// One read of a record from the device, on behalf of everybody who misses that record at the same
// time. The buffer belongs to the read, not to the tasks: a cancelled task leaves at once, and the
// kernel goes on writing into memory that nobody else uses.

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
    var waiters: [(token: UInt64, waiter: Waiter<ReadResult>)] = []
    var cancelledTokens: [UInt64] = []
    var nextToken: UInt64 = 0
    var attemptCount = 1
  }

  let location: RecordLocation
  let segment: SegmentIndex
  /// The generation of the segment when the read was pinned.
  let generation: Generation
  private let buffer: PageBuffer
  private let state = Mutex(State())
  private let reader: RecordReader

  init(
    location: RecordLocation, segment: SegmentIndex, generation: Generation, pageCount: Int,
    reader: RecordReader
  ) {
    self.location = location
    self.segment = segment
    self.generation = generation
    self.reader = reader
    buffer = reader.takeBuffer(pageCount: pageCount)
    unsafe super.init(
      operation: .read, memory: buffer.base, byteCount: pageCount * Limits.pageByteCount,
      byteOffset: location.page.rawValue * UInt64(Limits.pageByteCount))
  }

  deinit { reader.recycle(buffer) }

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
    reader.finish(self)
    let waiters = state.withLock { state in
      state.result = result
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.waiter.resume(result) }
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
          if state.cancelledTokens.contains(token) { return .cancelled }
          state.waiters.append((token, waiter))
          return nil
        }
        if let early { waiter.resume(early) }
      }
    } onCancel: {
      let waiter: Waiter<ReadResult>? = state.withLock { state in
        state.cancelledTokens.append(token)
        guard let position = state.waiters.firstIndex(where: { $0.token == token }) else {
          return nil
        }
        return state.waiters.remove(at: position).waiter
      }
      waiter?.resume(.cancelled)
    }
  }
}
