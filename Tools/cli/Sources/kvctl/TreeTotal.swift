import Console

/// What a tree holds that can be stored, so that progress has an end: without files over a limit
/// and without those that this user may not read.
struct TreeTotal {
  /// The bytes of the files.
  private(set) var valueByteCount: UInt64 = 0
  /// The bytes of their paths.
  private(set) var keyByteCount: UInt64 = 0

  init(_ tree: DirectoryTree, maximumValueByteCount: Int) {
    for entry in tree {
      guard case .file(let byteCount) = entry.kind, byteCount <= maximumValueByteCount,
        entry.relativePath.count <= LoadTally.maximumKeyByteCount,
        tree.isReadable(entry.relativePath)
      else { continue }
      valueByteCount += UInt64(byteCount)
      keyByteCount += UInt64(entry.relativePath.count)
    }
  }
}
