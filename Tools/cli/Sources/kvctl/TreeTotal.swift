import Console

/// The bytes of the regular files in a tree, so that progress has an end.
struct TreeTotal {
  private(set) var byteCount: UInt64 = 0
  private(set) var fileCount = 0

  init(_ tree: DirectoryTree) {
    for entry in tree {
      guard case .file(let count) = entry.kind else { continue }
      byteCount += UInt64(count + entry.relativePath.count)
      fileCount += 1
    }
  }
}
