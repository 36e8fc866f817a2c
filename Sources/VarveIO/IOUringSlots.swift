// The requests that one ring has with the kernel, in the hands of the thread that owns the ring.
//
// Invariants:
// - A request lies in a slot from before it is prepared until its completion is taken.
// - A cookie names a slot and how often it has been used; the generation is odd while the slot is
//   armed. A completion whose cookie does not fit is a second or an invented one: fatal.

import CVarveAIO
import CVarveURing
import Glibc
import Synchronization

/// A table of requests by cookie.
///
/// SAFETY: the memory is allocated in `init`, freed in `deinit`, and never moves; the pieces of a
/// slot are written only before its request is prepared.
@safe struct IOUringSlots: ~Copyable {
  private struct Slot: ~Copyable {
    var request: IORequest?
    /// Odd while armed.
    var generation: UInt32 = 0
    /// Since when, and what a report of a slow request says.
    let mark = InFlightMark()
  }

  /// The number of slots.
  let capacity: Int
  private let slots: UnsafeMutablePointer<Slot>
  /// The pieces of memory of vectored requests, so many for each slot.
  private let vectors: UnsafeMutablePointer<iovec>
  private var freeIndices: [Int]

  init(capacity: Int) {
    precondition(capacity > 0, "a ring has at least one slot")
    self.capacity = capacity
    unsafe slots = .allocate(capacity: capacity)
    unsafe vectors = .allocate(capacity: capacity * DeviceOptions.maximumVectorCount)
    for index in 0..<capacity { unsafe (slots + index).initialize(to: Slot()) }
    freeIndices = Array((0..<capacity).reversed())
  }

  deinit {
    unsafe slots.deinitialize(count: capacity)
    unsafe slots.deallocate()
    unsafe vectors.deallocate()
  }

  /// The slots that no request lies in.
  var freeCount: Int { freeIndices.count }

  /// Puts a request into a free slot and describes to the kernel what remains of it.
  mutating func arm(_ request: IORequest, descriptor: Int32, nanoseconds: UInt64)
    -> varve_uring_request
  {
    guard let index = freeIndices.popLast() else {
      preconditionFailure("as many requests are armed as slots are free")
    }
    let generation = unsafe slots[index].generation &+ 1
    precondition(generation % 2 == 1, "a slot was armed twice")
    unsafe slots[index].generation = generation
    unsafe slots[index].request = request
    unsafe slots[index].mark.begin(request, nanoseconds: nanoseconds)
    var description = unsafe varve_uring_request()
    unsafe description.descriptor = descriptor
    unsafe description.cookie = SlotCookie(index: index, generation: generation).bits
    unsafe describe(request, index, &description)
    return unsafe description
  }

  private func describe(
    _ request: IORequest, _ index: Int, _ description: inout varve_uring_request
  ) {
    guard request.operation != .flush else {
      return unsafe description.operation = VARVE_URING_FLUSH
    }
    unsafe description.operation = request.operation == .read ? VARVE_URING_READ : VARVE_URING_WRITE
    unsafe description.isDurable = request.operation == .writeDurably ? 1 : 0
    unsafe description.byteOffset = request.remainingByteOffset
    if request.isVectored {
      let limit = DeviceOptions.maximumVectorCount
      let pieces = unsafe UnsafeMutableBufferPointer(start: vectors + index * limit, count: limit)
      unsafe description.vectorCount = UInt32(request.fillRemainingVectors(pieces))
      unsafe description.memory = UnsafeRawPointer(pieces.baseAddress)
    } else {
      unsafe description.memory = UnsafeRawPointer(request.remainingMemory)
      unsafe description.byteCount = request.remainingByteCount
    }
  }

  /// The slot that a completion is for. Fatal for one that no armed slot waits for.
  func index(of completion: varve_uring_completion) -> Int {
    let cookie = SlotCookie(bits: completion.cookie)
    guard cookie.isPlausible(in: capacity),
      unsafe slots[cookie.index].generation == cookie.generation
    else { KernelBreach.unknownCompletion(cookie) }
    return cookie.index
  }

  /// Ends the use of an armed slot and hands the request back.
  mutating func disarm(_ index: Int) -> IORequest {
    guard let request = unsafe slots[index].request else {
      preconditionFailure("an armed slot has a request")
    }
    unsafe slots[index].request = nil
    unsafe slots[index].generation &+= 1
    unsafe slots[index].mark.end()
    freeIndices.append(index)
    return request
  }

  /// What to report of a slot, if it has been armed for longer than `limitNanoseconds`; once.
  func slowRequest(
    _ index: Int, nowNanoseconds: UInt64, limitNanoseconds: UInt64, isInFlight: Bool
  ) -> SlowRequest? {
    unsafe slots[index].mark.slowRequest(
      nowNanoseconds: nowNanoseconds, limitNanoseconds: limitNanoseconds, isInFlight: isInFlight)
  }
}
