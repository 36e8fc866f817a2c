import VarveIO

/// A frame of relocated records, written by the task that waits for it.
///
/// SAFETY: it belongs to the maintenance task; the waiter is set before the frame is submitted and
/// taken when it completes.
final class RelocationFrame: Frame, @unchecked Sendable {
  private var waiter: Waiter<IOError?>?

  override func complete(_ error: IOError?) {
    let waiting = waiter
    waiter = nil
    waiting?.resume(error)
  }

  func write(to device: any BlockDevice) async -> IOError? {
    await suspend { waiting in
      waiter = waiting
      device.submit(self)
    }
  }
}
