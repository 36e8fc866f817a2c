import CVarveCPU

/// CRC32C (Castagnoli), salted with what a page must belong to: the store, the use of the segment
/// and the address. A page that lands elsewhere, or is left over from an earlier use, fails it.
/// It detects accidents; it authenticates nothing.
public struct Checksum: Sendable {
  @usableFromInline let storeSeed: UInt32

  /// The checksums of one store.
  public init(uuid: StoreUUID) {
    var seed: UInt32 = 0
    seed = Checksum.word(uuid.low, seed: seed)
    seed = Checksum.word(uuid.high, seed: seed)
    storeSeed = seed
  }

  /// The salted checksum of `bytes`.
  @inlinable
  public func of(_ bytes: RawSpan, generation: Generation, page: PageIndex) -> UInt32 {
    var seed = Checksum.word(UInt64(generation.rawValue), seed: storeSeed)
    seed = Checksum.word(page.rawValue, seed: seed)
    return Checksum.plain(bytes, seed: seed)
  }

  /// Unsalted CRC32C, continued from `seed`.
  @inlinable
  public static func plain(_ bytes: RawSpan, seed: UInt32 = 0) -> UInt32 {
    // SAFETY: the C function reads exactly `count` bytes of a live span.
    unsafe bytes.withUnsafeBytes { unsafe varve_crc32c(seed, $0.baseAddress, $0.count) }
  }

  /// The CRC32C of one little-endian word, continued from `seed`.
  @inlinable
  public static func word(_ word: UInt64, seed: UInt32) -> UInt32 {
    var little = word.littleEndian
    return unsafe withUnsafeBytes(of: &little) {
      unsafe varve_crc32c(seed, $0.baseAddress, $0.count)
    }
  }
}
