import CVarveAIO
import Glibc

/// A piece of memory of a vectored request.
///
/// SAFETY: it owns nothing; the request's owner keeps the memory alive until `complete`.
@safe public struct IOSegment: @unchecked Sendable {
  /// The first byte, aligned to 512 bytes.
  public let memory: UnsafeMutableRawPointer
  /// How many bytes; a multiple of 512.
  public let byteCount: Int

  /// A piece of memory.
  public init(memory: UnsafeMutableRawPointer, byteCount: Int) {
    unsafe self.memory = memory
    self.byteCount = byteCount
  }

  /// All together; nil where the sum does not fit.
  static func byteCount(of segments: [IOSegment]) -> Int? {
    var sum = 0
    for segment in segments {
      let (next, overflow) = sum.addingReportingOverflow(segment.byteCount)
      if overflow { return nil }
      sum = next
    }
    return sum
  }
}

extension IORequest {
  /// Makes it a request over several pieces of memory, in this order.
  public final func setSegments(_ segments: [IOSegment]) {
    unsafe memory = nil
    self.segments = segments
    // A sum that does not fit is refused when the request is submitted.
    byteCount = IOSegment.byteCount(of: segments) ?? -1
  }

  /// Whether the kernel is handed several pieces of memory.
  final var isVectored: Bool { operation != .flush && !segments.isEmpty }

  /// Calls `body` with each piece of memory in turn.
  ///
  /// SAFETY: the pieces are lent during the call, while the device has the request.
  package final func forEachPiece(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
    guard isVectored else {
      return unsafe body(UnsafeMutableRawBufferPointer(start: memory, count: byteCount))
    }
    for segment in segments {
      unsafe body(UnsafeMutableRawBufferPointer(start: segment.memory, count: segment.byteCount))
    }
  }

  /// Whether every piece of memory is aligned to sectors and not empty.
  package final var isMemoryAligned: Bool {
    guard isVectored else {
      guard let memory = unsafe memory else { return false }
      return UInt(bitPattern: memory) % 512 == 0
    }
    return segments.allSatisfy {
      let address = unsafe UInt(bitPattern: $0.memory)
      return address % 512 == 0 && $0.byteCount > 0 && $0.byteCount % 512 == 0
    } && IOSegment.byteCount(of: segments) == byteCount
  }

  /// Describes what remains to be transferred to the kernel, as many pieces as `vectors` holds:
  /// the rest goes with the next call.
  ///
  /// - Returns: how many of `vectors` were filled.
  final func fillRemainingVectors(_ vectors: UnsafeMutableBufferPointer<iovec>) -> Int {
    var skippedByteCount = transferredByteCount
    var count = 0
    submittedByteCount = 0
    for segment in segments where count < vectors.count {
      let skipped = min(skippedByteCount, segment.byteCount)
      skippedByteCount -= skipped
      guard skipped < segment.byteCount else { continue }
      // SAFETY: `skipped` lies within the segment.
      unsafe vectors.initializeElement(
        at: count,
        to: iovec(iov_base: segment.memory + skipped, iov_len: segment.byteCount - skipped))
      submittedByteCount += segment.byteCount - skipped
      count += 1
    }
    return count
  }
}
