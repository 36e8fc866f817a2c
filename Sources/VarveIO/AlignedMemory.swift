#if canImport(Glibc)
  import Glibc
#else
  #error("Varve is for Linux: depend on it with .when(platforms: [.linux])")
#endif

/// Memory aligned to a page, as direct I/O wants it, owned by one place and freed with it.
@safe public struct AlignedMemory: ~Copyable, @unchecked Sendable {
  // SAFETY: the memory is owned by this value alone; whoever shares the value orders the access.
  /// The first byte.
  public let base: UnsafeMutableRawPointer
  /// The bytes owned, a multiple of 4096.
  public let byteCount: Int

  /// Allocates zeroed memory of at least `byteCount` bytes, rounded up to whole pages.
  public init(byteCount: Int) {
    precondition(byteCount > 0, "an aligned buffer holds at least one byte")
    let rounded = (byteCount + 4095) & ~4095
    guard let memory = unsafe aligned_alloc(4096, rounded) else {
      preconditionFailure("out of memory: \(rounded) bytes of aligned memory")
    }
    unsafe memset(memory, 0, rounded)
    unsafe self.base = memory
    self.byteCount = rounded
  }

  deinit { unsafe free(base) }
}
