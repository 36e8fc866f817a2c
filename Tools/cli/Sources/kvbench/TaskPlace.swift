import Glibc
import VarveIO

/// Where the tasks of a measurement run, and what a request may cost there.
struct TaskPlace: Sendable {
  let name: String
  /// Nil is the executor that tasks run on by default.
  let executor: (any TaskExecutor)?
  /// CPU of the process for one request of 4 KiB, both sides of the system call.
  let goalCPUMicroseconds: Double

  /// The places that a device offers: a further column is a further element.
  static func places(on device: any BlockDevice) throws -> [TaskPlace] {
    let coreCount = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    let own = try device.makeExecutor(threadCount: coreCount) { _ in }
    return [
      TaskPlace(name: "default", executor: nil, goalCPUMicroseconds: 6),
      TaskPlace(name: "device", executor: own, goalCPUMicroseconds: 4),
    ]
  }
}
