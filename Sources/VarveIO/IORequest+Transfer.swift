import CVarveAIO
import Glibc

// What the engines share: which requests are refused before the kernel sees them, where they go,
// and what a result of the kernel means. One place, so that all engines answer alike.
extension IORequest {
  /// What the kernel's answer asks the engine to do next.
  enum Outcome: Equatable {
    case done
    case continued
    case failed(Int32)
  }

  /// The error number with which a device of `deviceByteCount` bytes refuses this request, or 0.
  ///
  /// A write beyond the end answers ENOSPC, as block devices do; a file would grow instead.
  final func refusal(deviceByteCount: UInt64, isWritable: Bool) -> Int32 {
    guard operation != .flush else { return byteCount < 0 ? EINVAL : 0 }
    if operation != .read, !isWritable { return EBADF }
    guard byteCount > 0, byteCount % 512 == 0, byteOffset % 512 == 0, isMemoryAligned
    else { return EINVAL }
    let (end, overflow) = byteOffset.addingReportingOverflow(UInt64(byteCount))
    guard overflow || end > deviceByteCount else { return 0 }
    return operation == .read ? EINVAL : ENOSPC
  }

  /// Which of `shardCount` contexts or rings gets the request: mixed from the thread and the 2 MiB
  /// region, so that threads spread over them and one thread's random reads do, too.
  final func shardIndex(of shardCount: Int) -> Int {
    let region = UInt32(truncatingIfNeeded: byteOffset >> 21) &* 2_654_435_761
    return Int((varve_thread_tag() ^ region) >> 16) % shardCount
  }

  /// Starts the request's progress anew.
  final func beginTransfer() {
    transferredByteCount = 0
    continuationCount = 0
    submittedByteCount = byteCount
  }

  /// The memory from which the transfer goes on.
  final var remainingMemory: UnsafeMutableRawPointer? {
    // SAFETY: `transferredByteCount` never exceeds `byteCount`, the length of the memory.
    unsafe memory.map { unsafe $0 + transferredByteCount }
  }

  /// The bytes that are still to be transferred.
  final var remainingByteCount: Int { byteCount - transferredByteCount }

  /// The place on the device where the transfer goes on.
  final var remainingByteOffset: UInt64 { byteOffset + UInt64(transferredByteCount) }

  /// Takes the kernel's answer: a negative error number, or the bytes transferred.
  ///
  /// A short transfer is continued where it ended if that is the end of a sector, and repeated as
  /// a whole otherwise; both a bounded number of times.
  final func advance(result: Int) -> Outcome {
    if result < 0 {
      return .failed(Int32(truncatingIfNeeded: -result))
    }
    if operation == .flush {
      return .done
    }
    guard result <= submittedByteCount else {
      KernelBreach.overrun(transferredByteCount: result, askedByteCount: submittedByteCount)
    }
    if result == remainingByteCount {
      transferredByteCount = byteCount
      return .done
    }
    // The end of the file or device: it has shrunk under us, since the range was checked.
    if result == 0 { return .failed(operation == .read ? EIO : ENOSPC) }
    // More pieces of memory than one call takes are no short transfer.
    if result < submittedByteCount { continuationCount += 1 }
    guard continuationCount <= DeviceOptions.maximumContinuationCount else { return .failed(EIO) }
    let reached = transferredByteCount + result
    transferredByteCount = reached % 512 == 0 ? reached : 0
    submittedByteCount = remainingByteCount
    return .continued
  }

  /// Completes the request with an error number, or successfully with 0.
  final func finish(errorNumber: Int32) {
    guard errorNumber != 0 else { return complete(nil) }
    complete(
      IOError(
        operation: operation, byteOffset: byteOffset, byteCount: byteCount,
        errorNumber: errorNumber))
  }
}
