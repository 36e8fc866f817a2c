/// What the kernel's control groups allow this process: version 2, or the controllers of version 1.
///
/// A group's limit holds for all groups below it, so the smallest on the way to the top counts.
/// The file systems are looked for where systemd and the container runtimes mount them.
package enum ControlGroup {
  /// One tree of groups that may limit memory.
  private struct Hierarchy {
    let mount: String
    let limitFile: String
    /// The group of the process, as names from the top; empty where it is not known or not to be
    /// seen from here.
    var names: [Substring] = []
  }

  /// The most bytes of memory that the process may take by its own group and those above it; nil
  /// where none sets a limit. `root` stands before `/proc` and `/sys`.
  package static func memoryByteLimit(root: String = "") -> Int? {
    hierarchies(root: root).flatMap { hierarchy in
      (0...hierarchy.names.count).compactMap { depth in
        let group = hierarchy.names.prefix(depth).map { "/" + $0 }.joined()
        return limit(root + hierarchy.mount + group + "/" + hierarchy.limitFile)
      }
    }.min()
  }

  /// Both hierarchies, with the group that `/proc/self/cgroup` names in each. In a container that
  /// path may be the host's, and the container's own group lies at the top: so the top is always
  /// looked at.
  private static func hierarchies(root: String) -> [Hierarchy] {
    var unified = Hierarchy(mount: "/sys/fs/cgroup", limitFile: "memory.max")
    var memory = Hierarchy(mount: "/sys/fs/cgroup/memory", limitFile: "memory.limit_in_bytes")
    for line in KernelText.read(root + "/proc/self/cgroup").split(separator: "\n") {
      // number:controllers:path, and the path may hold colons.
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[0] == "0", fields[1].isEmpty {
        unified.names = names(fields[2])
      } else if fields[1].split(separator: ",").contains("memory") {
        memory.names = names(fields[2])
      }
    }
    return [unified, memory]
  }

  /// The names of a path. One that leads out of the control group namespace is not to be followed.
  private static func names(_ path: Substring) -> [Substring] {
    let names = path.split(separator: "/")
    return names.contains("..") ? [] : names
  }

  /// The number in a file; nil for "max", and where the file is not there.
  private static func limit(_ path: String) -> Int? {
    guard let limit = Int(KernelText.read(path, maximumByteCount: 64)), limit > 0 else {
      return nil
    }
    return limit
  }
}
