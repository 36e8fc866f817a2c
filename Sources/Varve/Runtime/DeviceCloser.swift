#if canImport(Glibc)
  import Glibc
#endif
import VarveIO

/// Closes a device on a thread of its own, because that waits for requests in flight and must block
/// neither a task nor a thread of the device.
enum DeviceCloser {
  private final class Work {
    let device: any BlockDevice
    let completion: @Sendable () -> Void

    init(device: any BlockDevice, completion: @escaping @Sendable () -> Void) {
      self.device = device
      self.completion = completion
    }
  }

  /// Closes the device and returns when it is closed, and `then`, which may block, has ended.
  static func close(
    _ device: any BlockDevice, then: @escaping @Sendable () -> Void = {}
  ) async {
    await suspend { (waiter: Waiter<Void>) in
      begin(closing: device) {
        then()
        waiter.resume(())
      }
    }
  }

  /// Closes the device, then calls `completion`, which may block; returns at once.
  static func begin(
    closing device: any BlockDevice, completion: @escaping @Sendable () -> Void
  ) {
    let work = Work(device: device, completion: completion)
    var thread = pthread_t()
    // SAFETY: the thread takes the retained object over.
    let status = unsafe pthread_create(
      &thread, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        let work = unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        work.device.close()
        work.completion()
        return nil
      }, unsafe Unmanaged.passRetained(work).toOpaque())
    if status == 0 {
      pthread_detach(thread)
    } else {
      // Without a thread to spare, blocking here is the only way left.
      device.close()
      completion()
    }
  }
}
