// Linux AIO for one owner: a context with its table of control blocks. This is the level of the
// system calls, for programs that use AIO without the store: an event loop, a tool, a test. What
// the store uses is `AIODevice`, which shares contexts between threads, continues short transfers
// and holds back what does not fit.
//
//   prepare   an operation into a free control block
//   submit    what is prepared to the kernel (io_submit)
//   reap      completions (the ring in user space, then io_getevents)
//
// Invariants:
// - A control block is free, prepared, or with the kernel; only `reap` ends the third.
// - A completion must carry the number and the generation of a block that is with the kernel. One
//   that does not is fatal: whose memory the kernel wrote to could not be known.

import CVarveAIO
import Glibc

/// A context of Linux AIO and its requests, owned by one thread at a time.
///
/// ```swift
/// var queue = try AIOQueue(requestCapacity: 128)
/// try queue.prepare(.read(descriptor, into: first, at: 0), cookie: 0xbeef)
/// try queue.prepare(.read(descriptor, into: second, at: 4096), cookie: 0xbaba)
/// _ = try queue.submit()
/// _ = try queue.reap(minimumCount: 2, maximumCount: 2) { completion in
///   print(completion.cookie, completion.result)
/// }
/// ```
///
/// Only direct I/O (O_DIRECT) to files that have their blocks, or to devices, is asynchronous; all
/// else is done inside `submit`, which then blocks.
///
/// SAFETY: all memory is allocated in `init` and freed in `deinit`, after the kernel has let go of
/// it: destroying the context waits for what is in flight.
@safe public struct AIOQueue: ~Copyable, @unchecked Sendable {
  /// The operations that can be prepared or in flight.
  public let requestCapacity: Int
  /// Becomes readable when completions can be reaped, for epoll and its like; -1 where the queue
  /// was made without. It belongs to the queue: do not read from it or close it.
  public let eventDescriptor: Int32
  /// Operations that are with the kernel. A program is done when nothing is prepared and nothing is
  /// unreaped.
  public private(set) var inFlightCount = 0

  /// The pieces of memory that one operation takes.
  public static let maximumSegmentCount = DeviceOptions.maximumVectorCount

  private let context: AIOContext
  private let forkGeneration = varve_fork_generation()
  private let blocks: UnsafeMutablePointer<iocb>
  private let vectors: UnsafeMutablePointer<iovec>
  /// How often each block has been used; odd while it is in use.
  private let generations: UnsafeMutablePointer<UInt32>
  private let cookies: UnsafeMutablePointer<UInt64>
  /// Blocks to submit, in order.
  private let prepared: UnsafeMutablePointer<UnsafeMutablePointer<iocb>?>
  private let events: UnsafeMutablePointer<io_event>
  private var preparedRange = 0..<0
  private var free: [Int]
  /// Operations that the kernel refused; they are reaped like any other.
  private var refused: [AIOCompletion] = []

  /// Sets up a context.
  ///
  /// - Parameters:
  ///   - requestCapacity: Operations in flight at most, 1 to 4,096; taken from `fs.aio-max-nr`.
  ///   - signalsEvent: Whether `eventDescriptor` is to tell of completions.
  /// - Throws: `DeviceError` with code `resource` where AIO requests or descriptors are used up,
  ///   `unsupported` where the kernel or a policy does not allow AIO.
  public init(requestCapacity: Int, signalsEvent: Bool = false) throws(DeviceError) {
    try self.init(
      requestCapacity: requestCapacity, contextCapacity: requestCapacity,
      signalsEvent: signalsEvent)
  }

  /// Tests make the ring of the kernel smaller than the table.
  init(requestCapacity: Int, contextCapacity: Int, signalsEvent: Bool) throws(DeviceError) {
    precondition(
      (1...DeviceOptions.maximumQueueDepth).contains(requestCapacity),
      "a queue has from 1 to \(DeviceOptions.maximumQueueDepth) requests")
    let event = signalsEvent ? varve_event_create() : -1
    guard event >= 0 || !signalsEvent else {
      throw .system("create an eventfd for", path: "", errorNumber: -event)
    }
    do throws(DeviceError) {
      context = try AIOContext(requestCapacity: contextCapacity)
    } catch {
      if event >= 0 { close(event) }
      throw error
    }
    eventDescriptor = event
    self.requestCapacity = requestCapacity
    unsafe blocks = .allocate(capacity: requestCapacity)
    unsafe blocks.initialize(repeating: iocb(), count: requestCapacity)
    unsafe vectors = .allocate(capacity: requestCapacity * Self.maximumSegmentCount)
    unsafe generations = .allocate(capacity: requestCapacity)
    unsafe generations.initialize(repeating: 0, count: requestCapacity)
    unsafe cookies = .allocate(capacity: requestCapacity)
    unsafe cookies.initialize(repeating: 0, count: requestCapacity)
    unsafe prepared = .allocate(capacity: requestCapacity)
    unsafe prepared.initialize(repeating: nil, count: requestCapacity)
    unsafe events = .allocate(capacity: requestCapacity)
    free = Array((0..<requestCapacity).reversed())
  }

  /// Waits for the transfers in flight, ends the polls, and lets go of everything.
  deinit {
    context.destroy()
    unsafe events.deallocate()
    unsafe prepared.deallocate()
    unsafe cookies.deallocate()
    unsafe generations.deallocate()
    unsafe vectors.deallocate()
    unsafe blocks.deallocate()
    if eventDescriptor >= 0 { close(eventDescriptor) }
  }

  /// Operations that are prepared and not submitted.
  public var preparedCount: Int { preparedRange.count }

  /// Operations that were submitted and not reaped: with the kernel, or refused by it.
  public var unreapedCount: Int { inFlightCount + refused.count }

  /// Whether `prepare` may be called. It is false, too, while the kernel has left operations that
  /// would have to be submitted first, or refused ones that would have to be reaped.
  public var hasRoom: Bool {
    !free.isEmpty && preparedRange.upperBound < requestCapacity && refused.count < requestCapacity
  }

  // MARK: Preparing and submitting

  /// Takes an operation in. `hasRoom` must be true.
  ///
  /// - Parameters:
  ///   - operation: What to do; its memory stays alive and unused until its completion is reaped.
  ///   - cookie: What its completion carries.
  /// - Throws: `IOError` with EINVAL where it has more pieces of memory than
  ///   `maximumSegmentCount`.
  public mutating func prepare(_ operation: AIOOperation, cookie: UInt64) throws(IOError) {
    guard operation.segments.count <= Self.maximumSegmentCount else {
      let kind: IOOperation = operation.kind == .readVectors ? .read : .write
      throw IOError(
        operation: kind, byteOffset: operation.byteOffset,
        byteCount: IOSegment.byteCount(of: operation.segments) ?? .max, errorNumber: EINVAL)
    }
    precondition(hasRoom, "the queue is full: submit and reap first")
    let index = free.removeLast()
    let block = unsafe blocks + index
    unsafe operation.prepare(
      block,
      vectors: UnsafeMutableBufferPointer(
        start: vectors + index * Self.maximumSegmentCount, count: Self.maximumSegmentCount))
    if eventDescriptor >= 0 { unsafe io_set_eventfd(block, eventDescriptor) }
    unsafe cookies[index] = cookie
    unsafe generations[index] &+= 1
    let name = unsafe SlotCookie(index: index, generation: generations[index])
    unsafe block.pointee.data = UnsafeMutableRawPointer(bitPattern: UInt(name.bits))
    unsafe prepared[preparedRange.upperBound] = block
    preparedRange = preparedRange.lowerBound..<preparedRange.upperBound + 1
  }

  /// Hands what is prepared to the kernel, in order.
  ///
  /// The kernel may take only a part (`preparedCount` tells what is left): its ring is full then,
  /// so reap before submitting again. An operation that it refuses does not keep the others back;
  /// its completion carries the error.
  ///
  /// - Returns: how many the kernel took.
  /// - Throws: `DeviceError` with code `unsupported` in a forked child, which has no context.
  public mutating func submit() throws(DeviceError) -> Int {
    try requireOwnProcess()
    var takenCount = 0
    let submitter = context.submitter()
    while !preparedRange.isEmpty {
      let result = unsafe submitter.submit(
        prepared + preparedRange.lowerBound, count: preparedRange.count)
      switch result {
      case 1...:
        takenCount += result
        inFlightCount += result
        preparedRange = preparedRange.dropFirst(result)
      case -Int(EINTR): continue
      case 0, -Int(EAGAIN): return takenCount
      default: refuseFirst(errorNumber: result)
      }
    }
    preparedRange = 0..<0
    return takenCount
  }

  private mutating func refuseFirst(errorNumber: Int) {
    guard let block = unsafe prepared[preparedRange.lowerBound] else { return }
    let index = unsafe block - blocks
    refused.append(AIOCompletion(cookie: unsafe cookies[index], result: errorNumber))
    release(index)
    preparedRange = preparedRange.dropFirst()
    // The kernel tells only of those that it took.
    if eventDescriptor >= 0 { _ = varve_event_signal(eventDescriptor) }
  }

  private mutating func release(_ index: Int) {
    unsafe generations[index] &+= 1
    free.append(index)
  }

  // MARK: Reaping

  /// Takes completions and calls `body` with each.
  ///
  /// With a `minimumCount` of 0 it never blocks: what an event loop calls when `eventDescriptor`
  /// is readable. A larger one saves system calls and costs latency; more than are in flight are
  /// never waited for.
  ///
  /// - Parameters:
  ///   - minimumCount: How many to wait for (`min_nr`), at most `maximumCount`.
  ///   - maximumCount: How many to take (`nr`).
  ///   - timeoutNanoseconds: How long to wait at most; nil for as long as it takes.
  ///   - body: Called for each completion; it may use the memory of the operation again. It cannot
  ///     use the queue: collect what has to be prepared anew.
  /// - Returns: how many there were, fewer than `minimumCount` when the time was over or a signal
  ///   came.
  /// - Throws: `DeviceError` with code `unsupported` in a forked child.
  public mutating func reap(
    minimumCount: Int = 1, maximumCount: Int, timeoutNanoseconds: Int64? = nil,
    _ body: (AIOCompletion) -> Void
  ) throws(DeviceError) -> Int {
    precondition(minimumCount >= 0 && minimumCount <= maximumCount, "min_nr lies above nr")
    try requireOwnProcess()
    // Cleared before the ring is read: a completion from here on makes it readable again.
    if eventDescriptor >= 0 { _ = varve_event_clear(eventDescriptor) }
    let early = min(refused.count, maximumCount)
    for completion in refused.prefix(early) { body(completion) }
    refused.removeFirst(early)
    let limit = min(maximumCount - early, inFlightCount)
    let minimum = min(max(0, minimumCount - early), limit)
    var count = 0
    if limit > 0 {
      count = unsafe context.reap(
        into: UnsafeMutableBufferPointer(start: events, count: limit), minimumCount: minimum,
        timeoutNanoseconds: timeoutNanoseconds ?? -1)
    }
    for position in 0..<count { body(unsafe finish(events[position])) }
    // What did not fit is still there, though the event has been cleared.
    if eventDescriptor >= 0, early + count == maximumCount, inFlightCount + refused.count > 0 {
      _ = varve_event_signal(eventDescriptor)
    }
    return early + count
  }

  private mutating func finish(_ event: io_event) -> AIOCompletion {
    let name = unsafe SlotCookie(bits: UInt64(UInt(bitPattern: event.data)))
    let index = name.index
    guard name.isPlausible(in: requestCapacity), unsafe event.obj == blocks + index,
      unsafe generations[index] == name.generation
    else { KernelBreach.unknownCompletion(name) }
    release(index)
    inFlightCount -= 1
    // libaio declares both results unsigned; the kernel means them signed.
    let (result, secondResult) = unsafe (Int(bitPattern: event.res), event.res2)
    return AIOCompletion(
      cookie: unsafe cookies[index], result: secondResult == 0 ? result : -Int(EIO))
  }

  /// Ends a poll early; its completion follows through `reap`.
  ///
  /// The kernel cancels nothing else: a direct transfer answers EINVAL, and goes on.
  ///
  /// - Returns: whether a poll with this cookie was in flight and will end.
  /// - Throws: `DeviceError` with code `unsupported` in a forked child.
  public mutating func cancelPoll(cookie: UInt64) throws(DeviceError) -> Bool {
    try requireOwnProcess()
    for index in 0..<requestCapacity {
      guard unsafe generations[index] % 2 == 1, unsafe cookies[index] == cookie,
        unsafe blocks[index].aio_lio_opcode == Int16(IO_CMD_POLL.rawValue)
      else { continue }
      return unsafe context.cancel(blocks + index)
    }
    return false
  }

  private func requireOwnProcess() throws(DeviceError) {
    guard varve_fork_generation() == forkGeneration else {
      throw DeviceError(
        .unsupported, path: "", errorNumber: ECHILD,
        message: "an AIO context does not outlive fork(): make a queue in the child")
    }
  }
}
