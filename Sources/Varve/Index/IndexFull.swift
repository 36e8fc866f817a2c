/// The index would need more memory than it may have; nothing was changed.
package struct IndexFull: Error, Hashable, Sendable {
  /// The bytes of memory that the refused step asked for.
  package let neededByteCount: Int
  /// The bytes of memory that the index may use in all.
  package let byteLimit: Int
}
