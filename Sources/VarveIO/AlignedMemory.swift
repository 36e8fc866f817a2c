#if canImport(Glibc)
  import Glibc
#else
  #error("Varve is for Linux: depend on it with .when(platforms: [.linux])")
#endif

/// Memory aligned to a page, as direct I/O wants it, owned by one place and given back with it.
///
/// It is mapped, not allocated: malloc keeps a header before each block, so that a page that has to
/// be aligned took two. Mapping costs a system call or two: keep buffers and use them again.
@safe public struct AlignedMemory: ~Copyable, @unchecked Sendable {
  // SAFETY: the memory is owned by this value alone; whoever shares the value orders the access.
  /// The first byte.
  public let base: UnsafeMutableRawPointer
  /// The bytes owned, a multiple of 4096.
  public let byteCount: Int

  /// Maps zeroed memory of at least `byteCount` bytes, rounded up to whole pages.
  public init(byteCount: Int) {
    precondition(byteCount > 0, "an aligned buffer holds at least one byte")
    let rounded = (byteCount + 4095) & ~4095
    // Populated: pages that are first read would all be the one page of zeros, and the write that
    // gives them one of their own interrupts every core.
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE
    let memory = unsafe mmap(nil, rounded, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
      preconditionFailure("out of memory: \(rounded) bytes of aligned memory")
    }
    unsafe self.base = memory
    self.byteCount = rounded
  }

  deinit { _ = unsafe munmap(base, byteCount) }
}
