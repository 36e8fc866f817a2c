import Console

/// The regular files of a tree, as records to store.
final class TreeFiles: LoadSource {
  private let tree: DirectoryTree
  private var entries: DirectoryTree.Iterator

  init(_ tree: DirectoryTree) {
    self.tree = tree
    entries = tree.makeIterator()
  }

  func totalByteCount(maximumValueByteCount: Int) -> UInt64? {
    let total = TreeTotal(tree, maximumValueByteCount: maximumValueByteCount)
    return total.keyByteCount + total.valueByteCount
  }

  func next(_ tally: LoadTally) throws -> Pipeline.Job<LoadTally.Work>? {
    while let entry = entries.next() {
      if let job = try tally.job(for: entry, in: tree) { return job }
    }
    return nil
  }
}
