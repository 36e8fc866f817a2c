import VarveFormat

/// The bytes of a simulated medium, as a value: copies share their chunks until one is written,
/// so thousands of crash images of one run cost only their differences. What was never written
/// reads as zeros and takes no memory.
///
/// Invariant: a chunk is exactly `chunkByteCount` bytes; every access lies inside `byteCount`.
///
/// SAFETY: buffers are borrowed for the time of a call, and pieces of them and of the chunks are
/// cut by `forEachPiece`, whose ranges lie inside both.
package struct SparseImage: Sendable {
  package static let chunkByteCount = 64 << 10

  package private(set) var byteCount: UInt64
  /// Identifies the content, if it is asked for: the sum over all sectors of a hash of the
  /// sector's place and content, 0 for a sector of zeros, so that a write changes it in time
  /// proportional to the write.
  package private(set) var digest: UInt64?
  private var chunks: [UInt64: [UInt8]] = [:]
  private static let zeroChunk = [UInt8](repeating: 0, count: chunkByteCount)

  package init(byteCount: UInt64) { self.byteCount = byteCount }

  /// Starts to keep `digest` up to date.
  package mutating func trackDigest() {
    guard digest == nil else { return }
    var sum: UInt64 = 0
    // A sum does not depend on the order in which the dictionary gives its chunks.
    for (index, chunk) in chunks {
      sum &+= unsafe chunk.withUnsafeBytes {
        unsafe Self.digest(of: $0, at: index * UInt64(Self.chunkByteCount))
      }
    }
    digest = sum
  }

  /// The bytes that chunks occupy in memory.
  package var residentByteCount: Int { chunks.count * Self.chunkByteCount }

  /// Reads into `target`.
  package func read(at byteOffset: UInt64, into target: UnsafeMutableRawBufferPointer) {
    requireRange(byteOffset, target.count)
    forEachPiece(byteOffset, target.count) { chunkIndex, start, pieceRange in
      let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: target[pieceRange])
      guard let chunk = chunks[chunkIndex] else {
        unsafe piece.initializeMemory(as: UInt8.self, repeating: 0)
        return
      }
      unsafe chunk.withUnsafeBytes {
        unsafe piece.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: $0[start..<start + pieceRange.count]))
      }
    }
  }

  /// Writes the bytes of `source`; with a digest, whole sectors only.
  package mutating func write(_ source: UnsafeRawBufferPointer, at byteOffset: UInt64) {
    requireRange(byteOffset, source.count)
    if let sum = digest {
      let before = unsafe read(at: byteOffset, byteCount: source.count).withUnsafeBytes {
        unsafe Self.digest(of: $0, at: byteOffset)
      }
      digest = sum &- before &+ (unsafe Self.digest(of: source, at: byteOffset))
    }
    var pieces: [(UInt64, Int, Range<Int>)] = []
    forEachPiece(byteOffset, source.count) { pieces.append(($0, $1, $2)) }
    for (chunkIndex, start, pieceRange) in pieces {
      unsafe chunks[chunkIndex, default: Self.zeroChunk].withUnsafeMutableBytes {
        unsafe UnsafeMutableRawBufferPointer(rebasing: $0[start..<start + pieceRange.count])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[pieceRange]))
      }
    }
  }

  /// A copy of a range.
  package func read(at byteOffset: UInt64, byteCount: Int) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
      unsafe read(at: byteOffset, into: UnsafeMutableRawBufferPointer(buffer))
      initializedCount = byteCount
    }
  }

  /// Writes the bytes of an array.
  package mutating func write(_ bytes: [UInt8], at byteOffset: UInt64) {
    unsafe bytes.withUnsafeBytes { unsafe write($0, at: byteOffset) }
  }

  /// Changes the capacity, a multiple of 4096; what lies beyond a smaller one is gone.
  package mutating func resize(to newByteCount: UInt64) {
    let chunkByteCount = UInt64(Self.chunkByteCount)
    let isTracking = digest != nil
    byteCount = max(byteCount, newByteCount)
    for index in chunks.keys where (index + 1) * chunkByteCount > newByteCount {
      let keptByteCount = Int(max(newByteCount, index * chunkByteCount) - index * chunkByteCount)
      guard keptByteCount > 0 else {
        chunks[index] = nil
        continue
      }
      let zeros = repeatElement(UInt8(0), count: Self.chunkByteCount - keptByteCount)
      chunks[index]?.replaceSubrange(keptByteCount..., with: zeros)
    }
    byteCount = newByteCount
    guard isTracking else { return }
    digest = nil
    trackDigest()
  }

  private func requireRange(_ byteOffset: UInt64, _ count: Int) {
    precondition(
      byteOffset <= byteCount && UInt64(count) <= byteCount - byteOffset,
      "an access lies inside the image")
  }

  /// Calls `body` with the chunk, the first byte in it and the range of the caller's buffer.
  private func forEachPiece(
    _ byteOffset: UInt64, _ count: Int, _ body: (UInt64, Int, Range<Int>) -> Void
  ) {
    var done = 0
    while done < count {
      let place = byteOffset + UInt64(done)
      let start = Int(place % UInt64(Self.chunkByteCount))
      let pieceByteCount = min(Self.chunkByteCount - start, count - done)
      body(place / UInt64(Self.chunkByteCount), start, done..<done + pieceByteCount)
      done += pieceByteCount
    }
  }

  private static func digest(of bytes: UnsafeRawBufferPointer, at byteOffset: UInt64) -> UInt64 {
    let sectorByteCount = Limits.sectorByteCount
    precondition(
      bytes.count % sectorByteCount == 0 && byteOffset % UInt64(sectorByteCount) == 0,
      "a digest is of whole sectors")
    var sum: UInt64 = 0
    for start in stride(from: 0, to: bytes.count, by: sectorByteCount) {
      var hash = (byteOffset + UInt64(start)) ^ 0x9e37_79b9_7f4a_7c15
      var union: UInt64 = 0
      for place in stride(from: start, to: start + sectorByteCount, by: 8) {
        let word = unsafe bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        union |= word
        hash = (hash ^ word) &* 0xff51_afd7_ed55_8ccd
        hash ^= hash >> 32
      }
      if union != 0 { sum &+= hash | 1 }
    }
    return sum
  }
}
