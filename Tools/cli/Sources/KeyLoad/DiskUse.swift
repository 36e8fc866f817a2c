import Foundation

/// How much of a disk files take.
public enum DiskUse {
  /// The allocated bytes of a file, or of all files in a folder and the folders in it.
  public static func byteCount(of path: String) -> UInt64 {
    let names = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
    return ([path] + names.map { path + "/" + $0 }).reduce(0) { $0 + allocated($1) }
  }

  /// 0 for what is gone: stores remove files as they like.
  private static func allocated(_ path: String) -> UInt64 {
    var found = stat()
    // SAFETY: the call fills a local variable.
    guard unsafe lstat(path, &found) == 0 else { return 0 }
    return UInt64(found.st_blocks) * 512
  }
}
