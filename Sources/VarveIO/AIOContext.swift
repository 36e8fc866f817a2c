// One Linux AIO context. Its owner is the only one that reaps it and the only one that can destroy
// it, and destroying consumes it: io_getevents after io_destroy (a crash inside libaio) cannot be
// written. Other threads submit through an `AIOSubmitter`, which is valid while they hold a slot:
// the owner destroys the context only once it has claimed all slots for itself.

import CVarveAIO
import Glibc

/// The owner of a context: reaps it and destroys it.
///
/// SAFETY: the context is created in `init` and destroyed once, by `deinit`; only the owner's
/// thread reaps.
@safe struct AIOContext: ~Copyable, @unchecked Sendable {
  private let handle: io_context_t

  /// Sets up a context for `requestCapacity` requests in flight.
  init(requestCapacity: Int) throws(DeviceError) {
    // The kernel refuses a handle that is not zero with EINVAL.
    var handle: io_context_t?
    let result = unsafe io_setup(Int32(requestCapacity), &handle)
    guard result == 0, let handle = unsafe handle else {
      throw Self.setupError(-result, requestCapacity: requestCapacity)
    }
    unsafe self.handle = handle
  }

  deinit { _ = unsafe io_destroy(handle) }

  /// Destroys the context. All requests must have been reaped.
  consuming func destroy() {}

  /// A handle with which other threads submit.
  borrowing func submitter() -> AIOSubmitter { unsafe AIOSubmitter(handle: handle) }

  /// Waits for at least `minimumCount` events, or until the time is over (never, where it is
  /// negative), and returns how many there are.
  borrowing func reap(
    into events: UnsafeMutableBufferPointer<io_event>, minimumCount: Int = 1,
    timeoutNanoseconds: Int64
  ) -> Int {
    let result = unsafe varve_aio_reap(
      handle, minimumCount, events.count, events.baseAddress, timeoutNanoseconds)
    if result == -EINTR { return 0 }
    precondition(result >= 0, "io_getevents failed with errno \(-result)")
    return Int(result)
  }

  /// Ends a poll that is in flight; its event comes through the ring.
  borrowing func cancel(_ block: UnsafeMutablePointer<iocb>) -> Bool {
    var event = unsafe io_event()
    // The kernel answers EINPROGRESS where it does cancel, and EINVAL for all but polls.
    return unsafe io_cancel(handle, block, &event) == -EINPROGRESS
  }

  private static func setupError(_ errorNumber: Int32, requestCapacity: Int) -> DeviceError {
    let cause = "cannot set up an AIO context for \(requestCapacity) requests: "
    switch errorNumber {
    case EAGAIN:
      let headroom = AIOHeadroom.current()
      let used = headroom.map { "\($0.usedCount)" } ?? "?"
      let limit = headroom.map { "\($0.maximumCount)" } ?? "?"
      return DeviceError(
        .resource, path: "", errorNumber: errorNumber,
        message: cause + "the system has no AIO requests left (fs.aio-nr \(used) of"
          + " fs.aio-max-nr \(limit)): raise the limit (sysctl -w fs.aio-max-nr=1048576), close"
          + " other users of AIO, or use a pool of threads (engine `threads`)")
    case ENOSYS, EPERM, EINVAL:
      return DeviceError(
        .unsupported, path: "", errorNumber: errorNumber,
        message: cause + "the kernel or the container's policy does not allow AIO (errno"
          + " \(errorNumber)): allow io_setup, or use the engine `threads`")
    default:
      return DeviceError(
        .resource, path: "", errorNumber: errorNumber,
        message: cause + DeviceError.text(of: errorNumber) + " (errno \(errorNumber)): free"
          + " memory, or use the engine `threads`")
    }
  }
}

/// Submits into a context that someone else owns.
///
/// SAFETY: used by the owner of the context, or while holding a slot of its table, which keeps the
/// owner from destroying it; io_submit itself may be called from any thread.
@safe struct AIOSubmitter: @unchecked Sendable {
  fileprivate let handle: io_context_t

  fileprivate init(handle: io_context_t) { unsafe self.handle = handle }

  /// Hands over iocbs: how many were taken (a prefix), or the negative error number of the first.
  func submit(_ blocks: UnsafeMutablePointer<UnsafeMutablePointer<iocb>?>, count: Int) -> Int {
    Int(unsafe io_submit(handle, count, blocks))
  }
}
