import CVarveAIO
import Glibc

/// A thread of a device or of a store: named, with the host's signals blocked, joined by whoever
/// started it.
package struct DeviceThread: Sendable {
  private let handle: pthread_t

  /// The closure on its way to the new thread.
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts a thread; `name` has at most 15 bytes.
  package init(name: String, _ run: @escaping @Sendable () -> Void) throws(DeviceError) {
    let body = unsafe Unmanaged.passRetained(Body(run))
    var handle = pthread_t()
    // SAFETY: the body is retained here and taken over by the thread, exactly once; if no thread
    // starts, it is released below.
    let result = unsafe name.withCString { name in
      unsafe varve_thread_start(
        &handle,
        { argument in
          if let argument = unsafe argument {
            unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
          }
          return nil
        }, body.toOpaque(), name)
    }
    guard result == 0 else {
      unsafe body.release()
      throw DeviceError(
        .resource, path: "", errorNumber: -result,
        message: "cannot start the thread \(name): \(DeviceError.text(of: -result))"
          + " (errno \(-result)): raise the limit of processes (ulimit -u)")
    }
    self.handle = handle
  }

  /// Whether the caller runs on this thread.
  package var isCurrent: Bool { pthread_equal(pthread_self(), handle) != 0 }

  /// Waits for the end of the thread; called once, and never on the thread itself.
  package func join() {
    let result = pthread_join(handle, nil)
    precondition(result == 0, "joining a thread failed with errno \(result)")
  }

  /// Lets the thread end by itself, where its own last act is to drop its owner.
  package func detach() { pthread_detach(handle) }
}
