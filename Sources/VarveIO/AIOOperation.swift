import CVarveAIO
import Glibc

/// One operation of Linux AIO, as it goes into a control block.
///
/// Direct I/O wants memory, offset and length in whole sectors: memory as `AlignedMemory` gives it,
/// or as `DirectFile.traits()` says, else the kernel answers EINVAL. `descriptor` is that of a
/// `DirectFile` (`descriptorNumber`), or any other that was opened with O_DIRECT.
///
/// SAFETY: it owns nothing: whoever prepares an operation keeps its memory alive, unmoved and
/// otherwise unused until its completion has been reaped or its queue is gone.
@safe public struct AIOOperation: @unchecked Sendable {
  enum Kind {
    case read, write, readVectors, writeVectors, flush, poll
  }

  let kind: Kind
  let descriptor: Int32
  let memory: UnsafeMutableRawPointer?
  let byteCount: Int
  let byteOffset: UInt64
  let segments: [IOSegment]
  let pollEvents: Int32
  /// Whether a write returns only once its bytes are durable (RWF_DSYNC).
  public var isDurable = false
  /// The I/O priority of the request (`ioprio_set(2)`), where the scheduler of the device minds
  /// it; nil for the priority of the thread.
  public var priority: UInt16?

  private init(
    _ kind: Kind, _ descriptor: Int32, memory: UnsafeMutableRawPointer? = nil, byteCount: Int = 0,
    byteOffset: UInt64 = 0, segments: [IOSegment] = [], pollEvents: Int32 = 0
  ) {
    self.kind = kind
    self.descriptor = descriptor
    unsafe self.memory = memory
    self.byteCount = byteCount
    self.byteOffset = byteOffset
    self.segments = segments
    self.pollEvents = pollEvents
  }

  /// Reads `memory.count` bytes at `byteOffset` (IOCB_CMD_PREAD).
  public static func read(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, at byteOffset: UInt64
  ) -> AIOOperation {
    unsafe AIOOperation(
      .read, descriptor, memory: memory.baseAddress, byteCount: memory.count,
      byteOffset: byteOffset)
  }

  /// Writes `memory.count` bytes at `byteOffset` (IOCB_CMD_PWRITE).
  public static func write(
    _ descriptor: Int32, from memory: UnsafeRawBufferPointer, at byteOffset: UInt64
  ) -> AIOOperation {
    unsafe AIOOperation(
      .write, descriptor, memory: UnsafeMutableRawPointer(mutating: memory.baseAddress),
      byteCount: memory.count, byteOffset: byteOffset)
  }

  /// Reads into several pieces of memory (IOCB_CMD_PREADV), at most
  /// `AIOQueue.maximumSegmentCount`.
  public static func read(
    _ descriptor: Int32, into segments: [IOSegment], at byteOffset: UInt64
  ) -> AIOOperation {
    unsafe AIOOperation(.readVectors, descriptor, byteOffset: byteOffset, segments: segments)
  }

  /// Writes several pieces of memory (IOCB_CMD_PWRITEV), at most
  /// `AIOQueue.maximumSegmentCount`.
  public static func write(
    _ descriptor: Int32, from segments: [IOSegment], at byteOffset: UInt64
  ) -> AIOOperation {
    unsafe AIOOperation(.writeVectors, descriptor, byteOffset: byteOffset, segments: segments)
  }

  /// Makes what has been written durable (IOCB_CMD_FDSYNC). It covers writes whose completions
  /// were reaped before it is submitted, no others.
  public static func flush(_ descriptor: Int32) -> AIOOperation {
    unsafe AIOOperation(.flush, descriptor)
  }

  /// Waits until a descriptor that is no regular file is ready, once (IOCB_CMD_POLL). The result of
  /// its completion is the set of events that are true, as `poll(2)` names them.
  public static func poll(_ descriptor: Int32, events: Int16) -> AIOOperation {
    unsafe AIOOperation(.poll, descriptor, pollEvents: Int32(events))
  }

  /// Fills in a control block, which the `io_prep` functions zero first: the kernel refuses what it
  /// does not know. `vectors` is memory that stays with the block until its completion.
  func prepare(
    _ block: UnsafeMutablePointer<iocb>, vectors: UnsafeMutableBufferPointer<iovec>
  ) {
    let place = Int64(bitPattern: byteOffset)
    switch kind {
    case .read: unsafe io_prep_pread(block, descriptor, memory, byteCount, place)
    case .write: unsafe io_prep_pwrite(block, descriptor, memory, byteCount, place)
    case .readVectors, .writeVectors:
      for (index, segment) in segments.enumerated() {
        unsafe vectors.initializeElement(
          at: index, to: iovec(iov_base: segment.memory, iov_len: segment.byteCount))
      }
      let (base, count) = (vectors.baseAddress, Int32(segments.count))
      if kind == .readVectors {
        unsafe io_prep_preadv(block, descriptor, base, count, place)
      } else {
        unsafe io_prep_pwritev(block, descriptor, base, count, place)
      }
    case .flush: unsafe io_prep_fdsync(block, descriptor)
    case .poll: unsafe io_prep_poll(block, descriptor, pollEvents)
    }
    if isDurable, kind == .write || kind == .writeVectors {
      unsafe block.pointee.aio_rw_flags = UInt32(bitPattern: varve_durable_write_flag())
    }
    if let priority {
      unsafe block.pointee.aio_reqprio = Int16(bitPattern: priority)
      unsafe varve_aio_use_priority(block)
    }
  }
}

/// The end of one operation.
public struct AIOCompletion: Hashable, Sendable {
  /// What the operation was prepared with.
  public let cookie: UInt64
  /// The bytes transferred, which may be fewer than asked for; 0 for a flush; the events of a poll.
  /// Negative: the error number.
  public let result: Int

  /// The positive error number, 0 where the operation did not fail.
  public var errorNumber: Int32 { result < 0 ? Int32(truncatingIfNeeded: -result) : 0 }
}
