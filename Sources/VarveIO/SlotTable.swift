// The iocbs of one context and the requests behind them.
//
// Invariants:
// - A slot has one owner: the free bitmap, the thread that claimed it, or the kernel (from
//   io_submit until its event is reaped). Only the owner touches its iocb and its request.
// - A cookie names a slot and how often it has been used; the generation is odd while the slot is
//   armed. An event whose cookie does not fit is a second or an invented completion: fatal.

import CVarveAIO
import Glibc
import Synchronization

/// One iocb's worth of bookkeeping.
struct Slot: ~Copyable {
  /// The request that the kernel works on.
  var request: IORequest?
  /// Odd while armed.
  let generation = Atomic<UInt32>(0)
  /// Since when, and what a report of a slow request says.
  let mark = InFlightMark()
}

/// A set of slots of one word of the bitmap.
struct SlotClaim {
  let wordIndex: Int
  var mask: UInt64

  /// Takes the next slot out of the set.
  mutating func next() -> Int? {
    guard mask != 0 else { return nil }
    let bit = mask.trailingZeroBitCount
    mask &= mask - 1
    return wordIndex * 64 + bit
  }
}

// SAFETY: the memory is allocated in `init`, freed in `deinit`, and never moves; slots change hands
// through the acquiring and releasing operations on the bitmap and on their generation.
@safe struct SlotTable: ~Copyable, @unchecked Sendable {
  /// The number of slots.
  let capacity: Int
  private let wordCount: Int
  /// One word per cache line, so that threads that claim in different words do not meet.
  private let freeWords: UnsafeMutablePointer<Atomic<UInt64>>
  private static let wordStride = 8
  private let controlBlocks: UnsafeMutablePointer<iocb>
  private let slots: UnsafeMutablePointer<Slot>
  /// The pieces of memory of vectored requests, so many for each slot.
  private let vectors: UnsafeMutablePointer<iovec>

  init(capacity: Int) {
    precondition(capacity > 0, "a ring has at least one slot")
    self.capacity = capacity
    wordCount = (capacity + 63) / 64
    let stride = Self.wordStride
    unsafe freeWords = .allocate(capacity: wordCount * stride)
    unsafe controlBlocks = .allocate(capacity: capacity)
    unsafe slots = .allocate(capacity: capacity)
    unsafe vectors = .allocate(capacity: capacity * DeviceOptions.maximumVectorCount)
    unsafe controlBlocks.initialize(repeating: iocb(), count: capacity)
    for index in 0..<capacity { unsafe (slots + index).initialize(to: Slot()) }
    for index in 0..<(wordCount * stride) { unsafe (freeWords + index).initialize(to: Atomic(0)) }
    for index in 0..<wordCount {
      unsafe freeWords[index * stride].store(fullMask(index), ordering: .relaxed)
    }
  }

  deinit {
    unsafe slots.deinitialize(count: capacity)
    unsafe slots.deallocate()
    unsafe vectors.deallocate()
    unsafe controlBlocks.deallocate()
    unsafe freeWords.deallocate()
  }

  private func fullMask(_ wordIndex: Int) -> UInt64 {
    let count = min(64, capacity - wordIndex * 64)
    return count == 64 ? .max : (1 << UInt64(count)) - 1
  }

  // MARK: Claiming and releasing

  /// Claims up to `limit` slots of one word, starting the search at a place of the thread's own.
  borrowing func claim(upTo limit: Int, startingAt hint: Int) -> SlotClaim? {
    for step in 0..<wordCount {
      let wordIndex = (hint + step) % wordCount
      var free = unsafe freeWords[wordIndex * Self.wordStride].load(ordering: .relaxed)
      while free != 0 {
        var rest = free
        for _ in 0..<limit { rest &= rest &- 1 }
        let (exchanged, original) = unsafe freeWords[wordIndex * Self.wordStride]
          .weakCompareExchange(
            expected: free, desired: rest, successOrdering: .acquiring, failureOrdering: .relaxed)
        if exchanged { return SlotClaim(wordIndex: wordIndex, mask: free & ~rest) }
        free = original
      }
    }
    return nil
  }

  /// Gives a slot back. Sequentially consistent, so that either whoever queues a request sees the
  /// free slot, or whoever frees the slot sees the queued request.
  borrowing func release(_ index: Int) {
    unsafe freeWords[index / 64 * Self.wordStride]
      .bitwiseOr(1 << UInt64(index % 64), ordering: .sequentiallyConsistent)
  }

  /// Claims every slot for good, or none: true when nothing was in flight.
  borrowing func claimAll() -> Bool {
    for wordIndex in 0..<wordCount {
      let full = fullMask(wordIndex)
      let (exchanged, _) = unsafe freeWords[wordIndex * Self.wordStride].compareExchange(
        expected: full, desired: 0, ordering: .acquiringAndReleasing)
      if exchanged { continue }
      for earlier in 0..<wordIndex {
        unsafe freeWords[earlier * Self.wordStride]
          .bitwiseOr(fullMask(earlier), ordering: .sequentiallyConsistent)
      }
      return false
    }
    return true
  }

  /// Slots that are claimed or with the kernel.
  var usedCount: Int {
    var freeCount = 0
    for index in 0..<wordCount {
      freeCount += unsafe freeWords[index * Self.wordStride].load(ordering: .relaxed)
        .nonzeroBitCount
    }
    return capacity - freeCount
  }

  // MARK: The life of a claimed slot

  /// Fills the iocb for what remains of the request, and ties the request to the slot.
  borrowing func arm(_ index: Int, _ request: IORequest, descriptor: Int32, nanoseconds: UInt64)
    -> UnsafeMutablePointer<iocb>
  {
    let block = unsafe controlBlocks + index
    if request.isVectored {
      unsafe armVectored(block, index, request, descriptor)
    } else {
      unsafe armPlain(block, request, descriptor)
    }
    unsafe slots[index].mark.begin(request, nanoseconds: nanoseconds)
    unsafe slots[index].request = request
    let generation = unsafe slots[index].generation.load(ordering: .relaxed) &+ 1
    precondition(generation % 2 == 1, "a slot was armed twice")
    let cookie = SlotCookie(index: index, generation: generation)
    unsafe block.pointee.data = UnsafeMutableRawPointer(bitPattern: UInt(cookie.bits))
    unsafe slots[index].generation.store(generation, ordering: .releasing)
    return unsafe block
  }

  private borrowing func armPlain(
    _ block: UnsafeMutablePointer<iocb>, _ request: IORequest, _ descriptor: Int32
  ) {
    let (memory, byteCount) = unsafe (request.remainingMemory, request.remainingByteCount)
    let byteOffset = Int64(bitPattern: request.remainingByteOffset)
    // The io_prep functions zero the whole iocb first.
    switch request.operation {
    case .read: unsafe io_prep_pread(block, descriptor, memory, byteCount, byteOffset)
    case .write: unsafe io_prep_pwrite(block, descriptor, memory, byteCount, byteOffset)
    case .writeDurably:
      unsafe io_prep_pwrite(block, descriptor, memory, byteCount, byteOffset)
      unsafe block.pointee.aio_rw_flags = UInt32(bitPattern: varve_durable_write_flag())
    case .flush: unsafe io_prep_fdsync(block, descriptor)
    }
  }

  /// The slot's vectors stay as they are until the event: the kernel need not have copied them.
  private borrowing func armVectored(
    _ block: UnsafeMutablePointer<iocb>, _ index: Int, _ request: IORequest, _ descriptor: Int32
  ) {
    let limit = DeviceOptions.maximumVectorCount
    let pieces = unsafe UnsafeMutableBufferPointer(start: vectors + index * limit, count: limit)
    let count = unsafe Int32(request.fillRemainingVectors(pieces))
    let byteOffset = Int64(bitPattern: request.remainingByteOffset)
    switch request.operation {
    case .read: unsafe io_prep_preadv(block, descriptor, pieces.baseAddress, count, byteOffset)
    case .write, .writeDurably:
      unsafe io_prep_pwritev(block, descriptor, pieces.baseAddress, count, byteOffset)
      if request.operation == .writeDurably {
        unsafe block.pointee.aio_rw_flags = UInt32(bitPattern: varve_durable_write_flag())
      }
    case .flush: unsafe io_prep_fdsync(block, descriptor)
    }
  }

  /// Ends the use of a slot that its claimer or the reaper owns, and hands the request back. The
  /// slot still has to be released.
  borrowing func disarm(_ index: Int) -> IORequest {
    let generation = unsafe slots[index].generation.load(ordering: .acquiring)
    precondition(generation % 2 == 1, "a slot was disarmed twice")
    unsafe slots[index].generation.store(generation &+ 1, ordering: .relaxed)
    unsafe slots[index].mark.end()
    guard let request = unsafe slots[index].request else {
      preconditionFailure("an armed slot has a request")
    }
    unsafe slots[index].request = nil
    return request
  }

  /// The slot of an iocb.
  borrowing func index(of block: UnsafeMutablePointer<iocb>) -> Int {
    unsafe block - controlBlocks
  }

  /// The slot that an event completes. Fatal for an event that no armed slot waits for.
  borrowing func index(of event: io_event) -> Int {
    let cookie = unsafe SlotCookie(bits: UInt64(UInt(bitPattern: event.data)))
    guard cookie.isPlausible(in: capacity), unsafe event.obj == controlBlocks + cookie.index,
      unsafe slots[cookie.index].generation.load(ordering: .acquiring) == cookie.generation
    else { KernelBreach.unknownCompletion(cookie) }
    return cookie.index
  }

  /// What to report of a slot, if it has been armed for longer than `limitNanoseconds`; once.
  borrowing func slowRequest(
    _ index: Int, nowNanoseconds: UInt64, limitNanoseconds: UInt64, isInFlight: Bool
  ) -> SlowRequest? {
    unsafe slots[index].mark.slowRequest(
      nowNanoseconds: nowNanoseconds, limitNanoseconds: limitNanoseconds, isInFlight: isInFlight)
  }
}
