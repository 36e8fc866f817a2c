import Foundation
import Testing
import VarveIO

/// The memory that control groups allow, read from a made-up `/proc` and `/sys`.
@Suite struct ControlGroupTests {
  /// A folder that holds these files, and what is found there.
  private func limit(_ files: [String: String]) throws -> Int? {
    let root = FileManager.default.temporaryDirectory.path + "/varve-cgroup-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (path, text) in files {
      let file = URL(filePath: root + path)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: false, encoding: .utf8)
    }
    return ControlGroup.memoryByteLimit(root: root)
  }

  @Test("A service's own limit is found where the top of the tree has none")
  func ownGroup() throws {
    let found = try limit([
      "/proc/self/cgroup": "0::/system.slice/carts.service\n",
      "/sys/fs/cgroup/system.slice/memory.max": "max\n",
      "/sys/fs/cgroup/system.slice/carts.service/memory.max": "268435456\n",
    ])
    #expect(found == 256 << 20)
  }

  @Test("The strictest group on the way to the top counts", arguments: [0, 1, 2, 3])
  func ancestors(strictest: Int) throws {
    var files = ["/proc/self/cgroup": "0::/a/b:c/d e\n"]
    for (depth, group) in ["", "/a", "/a/b:c", "/a/b:c/d e"].enumerated() {
      files["/sys/fs/cgroup\(group)/memory.max"] = depth == strictest ? "4096\n" : "8192\n"
    }
    // A group of somebody else.
    files["/sys/fs/cgroup/other/memory.max"] = "1\n"
    #expect(try limit(files) == 4096)
  }

  @Test("Version 1: the group of the memory controller, whatever it is mounted with")
  func versionOne() throws {
    let found = try limit([
      "/proc/self/cgroup": "5:cpu,memory:/m/n\n4:pids:/p\n1:name=systemd:/s\n0::/u\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/m/n/memory.limit_in_bytes": "1048576\n",
      "/sys/fs/cgroup/memory/p/memory.limit_in_bytes": "1\n",
      "/sys/fs/cgroup/memory/u/memory.limit_in_bytes": "2\n",
    ])
    #expect(found == 1 << 20)
  }

  @Test("In a container the own group may lie at the top, under a path of the host")
  func container() throws {
    for path in ["/docker/0123", "/../outside", "/"] {
      let found = try limit([
        "/proc/self/cgroup": "0::\(path)\n", "/sys/fs/cgroup/memory.max": "536870912\n",
        "/sys/fs/cgroup/outside/memory.max": "1\n",
      ])
      #expect(found == 512 << 20, "\(path)")
    }
    #expect(try limit(["/sys/fs/cgroup/memory.max": "4096\n"]) == 4096, "no /proc")
  }

  @Test("No limit, no number, no file")
  func unlimited() throws {
    #expect(try limit([:]) == nil)
    for text in ["max\n", "", "0\n", "-1\n", "99999999999999999999\n", "12 34\n"] {
      #expect(try limit(["/sys/fs/cgroup/memory.max": text]) == nil, "\(text)")
    }
  }
}
