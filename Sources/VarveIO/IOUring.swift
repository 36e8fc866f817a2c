// One io_uring. Whoever opens the device sets it up, and the thread that owns it from then on
// enables it: only that thread prepares, submits, waits and destroys, and destroying consumes the
// ring.

import CVarveURing
import Glibc

/// The owner of a ring.
///
/// SAFETY: the ring is created in `init` and destroyed once, by `deinit`; it is handed to one
/// thread before it is enabled, and only that thread uses it.
@safe struct IOUring: ~Copyable, @unchecked Sendable {
  private let handle: OpaquePointer

  /// Whether the engine was compiled in: whether the package trait `IOUring` was on.
  static var isBuilt: Bool { varve_uring_is_built() != 0 }

  /// Sets up a ring for `requestCapacity` requests in flight.
  init(requestCapacity: Int) throws(DeviceError) {
    var handle: OpaquePointer?
    let result = unsafe varve_uring_create(UInt32(requestCapacity), &handle)
    guard result == 0, let handle = unsafe handle else {
      throw Self.setupError(-result, requestCapacity: requestCapacity)
    }
    unsafe self.handle = handle
  }

  deinit { unsafe varve_uring_destroy(handle) }

  /// Makes the calling thread the one that uses the ring.
  ///
  /// - Throws: `DeviceError` where a policy allows the setup and not this.
  borrowing func enable() throws(DeviceError) {
    let result = unsafe varve_uring_enable(handle)
    guard result == 0 else { throw Self.setupError(-result, requestCapacity: nil) }
  }

  /// Prepares a request, which reaches the kernel with the next submission.
  ///
  /// SAFETY: the memory that it names stays until its completion.
  borrowing func prepare(_ request: varve_uring_request) {
    var request = unsafe request
    let result = unsafe varve_uring_prepare(handle, &request)
    precondition(result == 0, "more requests were prepared than an io_uring has room for")
  }

  /// Submits what has been prepared, without waiting.
  borrowing func submit() {
    let result = unsafe varve_uring_submit(handle)
    precondition(result == 0, "io_uring_enter failed with errno \(-result)")
  }

  /// Submits what has been prepared, waits for at least one completion or until the time is over,
  /// and returns how many there are.
  borrowing func submitAndWait(
    into completions: UnsafeMutableBufferPointer<varve_uring_completion>, timeoutNanoseconds: Int64
  ) -> Int {
    let result = unsafe varve_uring_submit_and_wait(
      handle, UInt32(completions.count), completions.baseAddress, timeoutNanoseconds)
    precondition(result >= 0, "io_uring_enter failed with errno \(-result)")
    return Int(result)
  }

  private static func setupError(_ errorNumber: Int32, requestCapacity: Int?) -> DeviceError {
    guard isBuilt else {
      return DeviceError(
        .unsupported, path: "", errorNumber: errorNumber,
        message: "the engine `uring` was not compiled in: enable the package trait IOUring (traits:"
          + " [\"IOUring\"] on the dependency; it needs liburing-dev), or use another engine")
    }
    let cause =
      requestCapacity.map { "cannot set up an io_uring for \($0) requests: " }
      ?? "cannot enable an io_uring: "
    switch errorNumber {
    case ENOSYS, EPERM, EINVAL, EACCES:
      let setting = KernelText.read("/proc/sys/kernel/io_uring_disabled")
      return DeviceError(
        .unsupported, path: "", errorNumber: errorNumber,
        message: cause + "the kernel (5.11 or later) or the container's policy does not allow it"
          + " (errno \(errorNumber), kernel.io_uring_disabled \(setting.isEmpty ? "?" : setting)):"
          + " sysctl -w kernel.io_uring_disabled=0, allow io_uring_setup, io_uring_enter and"
          + " io_uring_register in the container's seccomp policy, or use another engine"
          + " (`aio`, `threads`)")
    default:
      return DeviceError(
        .resource, path: "", errorNumber: errorNumber,
        message: cause + DeviceError.text(of: errorNumber) + " (errno \(errorNumber)): free"
          + " memory, raise the limits of locked memory (ulimit -l) and of descriptors (ulimit -n),"
          + " or use another engine")
    }
  }
}
