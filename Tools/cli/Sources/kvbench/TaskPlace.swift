import VarveIO

/// Where the tasks of a measurement run, and what a request may cost there.
struct TaskPlace: Sendable {
  let name: String
  /// Nil is the executor that tasks run on by default.
  let executor: (any TaskExecutor)?
  /// CPU of the process for one request of 4 KiB, both sides of the system call.
  let goalCPUMicroseconds: Double

  /// The places that a device offers: a further column is a further element.
  static func places(on device: any BlockDevice) -> [TaskPlace] {
    [TaskPlace(name: "default", executor: nil, goalCPUMicroseconds: 6)]
  }
}
