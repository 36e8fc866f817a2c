import Console
import Glibc

/// What else on this machine bends measurements.
enum ProbeMachine {
  /// What is to be said of it now.
  static var distortions: [String] {
    var found: [String] = []
    if text("/proc/cpuinfo").contains(" hypervisor ") {
      found.append(
        "this is a virtual machine: its host may answer reads from memory, and other guests share"
          + " the disk")
    }
    let coreCount = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    if let load = text("/proc/loadavg").split(separator: " ").first.flatMap({ Double($0) }),
      load > Double(coreCount) / 2
    {
      found.append("the machine is busy: a load of \(load) on \(coreCount) cores before the start")
    }
    return found
  }

  private static func text(_ path: String) -> String {
    let bytes = try? FileContents.read(path: Array(path.utf8), maximumByteCount: 1 << 20)
    return String(decoding: bytes ?? [], as: UTF8.self)
  }
}
