/// A record as the cache keeps it: immutable bytes and figures in one allocation, counted by
/// reference, so that whoever holds one may read on while the cache lets go of it.
@safe package struct CachedRecord: @unchecked Sendable {
  // SAFETY: the storage is written by the initialiser, before anybody else can reach it, and
  // never again.

  private struct Header {
    let sequence: UInt64
    let expiry: UInt64
    let keyByteCount: UInt32
    let valueByteCount: UInt32
  }

  private final class Storage: ManagedBuffer<Header, UInt8> {}

  private let storage: ManagedBuffer<Header, UInt8>

  /// Copies a record.
  ///
  /// - Parameters:
  ///   - key: The whole key, so that a reader can verify it.
  ///   - value: The value as the reader wants it: verified and decompressed.
  ///   - sequence: The sequence number of the write.
  ///   - expiry: When the record expires, in the store's clock; 0 is never.
  package init(key: RawSpan, value: RawSpan, sequence: UInt64, expiry: UInt64 = 0) {
    let header = Header(
      sequence: sequence, expiry: expiry, keyByteCount: UInt32(key.byteCount),
      valueByteCount: UInt32(value.byteCount))
    storage = Storage.create(minimumCapacity: key.byteCount + value.byteCount) { _ in header }
    unsafe storage.withUnsafeMutablePointerToElements { bytes in
      // SAFETY: the capacity is the sum of the two byte counts, and nobody else sees it yet.
      unsafe key.withUnsafeBytes { source in
        guard let base = source.baseAddress else { return }
        unsafe UnsafeMutableRawPointer(bytes).copyMemory(from: base, byteCount: source.count)
      }
      unsafe value.withUnsafeBytes { source in
        guard let base = source.baseAddress else { return }
        unsafe UnsafeMutableRawPointer(bytes + key.byteCount)
          .copyMemory(from: base, byteCount: source.count)
      }
    }
  }

  /// The sequence number of the write.
  package var sequence: UInt64 { storage.header.sequence }
  /// When the record expires, in the store's clock; 0 is never.
  package var expiry: UInt64 { storage.header.expiry }
  /// The bytes of the key.
  package var keyByteCount: Int { Int(storage.header.keyByteCount) }
  /// The bytes of the value.
  package var valueByteCount: Int { Int(storage.header.valueByteCount) }

  /// Lends the key and the value.
  @inline(__always)
  package func withBytes<Result: ~Copyable, Failure: Error>(
    _ body: (_ key: RawSpan, _ value: RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let (keyByteCount, valueByteCount) = (keyByteCount, valueByteCount)
    // SAFETY: the bytes were written by init, and self keeps them for as long as body runs.
    return try unsafe storage.withUnsafeMutablePointerToElements {
      bytes throws(Failure) -> Result in
      let key = unsafe RawSpan(
        _unsafeStart: UnsafeRawPointer(bytes), byteCount: keyByteCount)
      let value = unsafe RawSpan(
        _unsafeStart: UnsafeRawPointer(bytes + keyByteCount), byteCount: valueByteCount)
      return try body(key, value)
    }
  }

  /// Lends the value.
  @inline(__always)
  package func withValue<Result: ~Copyable, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withBytes { _, value throws(Failure) in try body(value) }
  }

  /// Lends the key.
  @inline(__always)
  package func withKey<Result: ~Copyable, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withBytes { key, _ throws(Failure) in try body(key) }
  }

  /// What the allocation costs: the object's header, and malloc's word and rounding to 16 bytes, or
  /// to pages where malloc maps memory. An allowance of 1/16 covers what malloc cannot fill.
  package var residentByteCount: Int {
    Self.residentByteCount(contentByteCount: keyByteCount + valueByteCount)
  }

  /// What a record of so many bytes of key and value costs.
  package static func residentByteCount(contentByteCount: Int) -> Int {
    let objectHeaderByteCount = 16
    let asked =
      objectHeaderByteCount + MemoryLayout<Header>.size + contentByteCount
      + MemoryLayout<Int>.size
    let isMapped = asked >= 128 << 10
    let granule = isMapped ? 4096 : 16
    let rounded = (asked + granule - 1) & ~(granule - 1)
    return rounded + rounded / 16
  }
}
