import Glibc
import Synchronization
import VarveIO

/// A device with a volatile write cache and faults by plan, and with a memory of all that happened
/// at it, from which `CrashEnumerator` derives what any crash may leave behind.
///
/// The contract that it simulates: sectors of 512 bytes are the units of tearing. A write is
/// visible to reads once it completes; it is durable once a flush has succeeded that was submitted
/// after that completion was delivered, or, for `.writeDurably`, when it completes. Until then a
/// power loss may leave any of its sectors behind. Requests that wait together complete in an
/// order that the seed permutes.
///
/// With `Delivery.manual` and one submitting thread, a run repeats bit for bit.
public final class SimulatedDevice: BlockDevice {
  private let medium: SimulatedMedium
  private let pump: RequestPump

  /// A device of zeros.
  ///
  /// - Parameters:
  ///   - byteCount: The capacity, a multiple of 4096.
  ///   - faults: What goes wrong.
  ///   - seed: Chooses the order in which requests complete; nil keeps the order of submission.
  ///   - delivery: When requests complete; `.background` is one thread.
  public convenience init(
    byteCount: UInt64, faults: FaultPlan = FaultPlan(), seed: UInt64? = nil,
    delivery: Delivery = .background
  ) {
    self.init(
      image: SparseImage(byteCount: byteCount), faults: faults, seed: seed, delivery: delivery)
  }

  /// A device with what a crash left behind, all of it durable: for crashes during recovery.
  public convenience init(
    crashed image: CrashImage, faults: FaultPlan = FaultPlan(), seed: UInt64? = nil,
    delivery: Delivery = .background
  ) {
    self.init(image: image.image, faults: faults, seed: seed, delivery: delivery)
  }

  package init(image: SparseImage, faults: FaultPlan, seed: UInt64?, delivery: Delivery) {
    precondition(
      image.byteCount > 0 && image.byteCount % 4096 == 0, "a device has whole pages")
    medium = SimulatedMedium(image: image, faults: faults)
    pump = RequestPump(executor: medium, delivery: delivery, threadCount: 1, orderSeed: seed)
  }

  deinit { pump.close() }

  /// The bytes that can be addressed.
  public var byteCount: UInt64 { medium.state.withLock { $0.byteCount } }

  /// Hands a request to the device.
  public func submit(_ request: IORequest) {
    // A refused request is none of the medium's business: no event may speak of it.
    let ticket = pump.isClosed ? 0 : medium.begin(request)
    pump.enqueue(request, ticket: ticket)
  }

  /// Completes what is in flight, also with `Delivery.manual`, and ends the thread.
  public func close() { pump.close() }

  /// Completes one request on this thread, the next or one that the seed chooses; false if none
  /// waits. For `Delivery.manual`.
  @discardableResult
  public func deliver() -> Bool { pump.deliverOne() }

  /// The requests that were submitted and are not completed.
  public var waitingCount: Int { pump.waitingCount }

  /// How many events there are: the stamp that an `Oracle` wants.
  public var eventCount: Int { medium.state.withLock { $0.events.count } }

  /// All that happened so far.
  public var history: History {
    medium.state.withLock { History(initial: $0.initial, events: $0.events) }
  }

  /// Replaces the plan; occurrences count from here.
  public func install(_ faults: FaultPlan) {
    medium.state.withLock { $0.faults = FaultInjector(plan: faults) }
  }

  /// Lets the device take discards, in units of 4096 bytes, with this outcome; nil, as at first,
  /// lets it take none.
  public func install(discards outcome: DiscardOutcome?) {
    medium.state.withLock { $0.discardOutcome = outcome }
  }

  /// 4096 where `install(discards:)` lets the device take discards, else nil.
  public var discardGranularityByteCount: Int? {
    medium.state.withLock { $0.discardOutcome == nil ? nil : 4096 }
  }

  /// Discards a range, with the outcome that was installed.
  ///
  /// - Throws: `DeviceError` with code `unsupported` where none was, and `io` where it is to fail.
  public func discard(_ range: Range<UInt64>) throws(DeviceError) {
    let errorNumber = pump.isClosed ? ESHUTDOWN : medium.discard(range)
    guard errorNumber != 0 else { return }
    throw DeviceError(
      errorNumber == EOPNOTSUPP ? .unsupported : .io, path: "", errorNumber: errorNumber,
      message: "the simulated device discards nothing (errno \(errorNumber))")
  }

  /// Flips `bitCount` bits, chosen by the plan's seed, somewhere in a range of the medium.
  public func rot(in range: Range<UInt64>, bitCount: Int = 1) {
    medium.state.withLock { state in
      for _ in 0..<bitCount {
        let (place, mask) = state.faults.bit(in: range)
        let sectorOffset = place & ~511
        var bytes = state.cache.visible.read(at: sectorOffset, byteCount: 512)
        bytes[Int(place - sectorOffset)] ^= mask
        state.record(.rotted(Landing(byteOffset: sectorOffset, bytes: bytes)))
      }
    }
  }

  /// Makes the device end earlier: reads beyond fail with EIO, writes with ENOSPC.
  public func shrink(to byteCount: UInt64) {
    medium.state.withLock { state in
      precondition(byteCount <= state.byteCount && byteCount % 4096 == 0, "whole pages, fewer")
      state.byteCount = byteCount
    }
  }

  /// What reads see now, on a device without faults: a clean copy, as after a kill with nothing
  /// in flight.
  public func copy(delivery: Delivery = .background) -> RAMDevice {
    RAMDevice(image: visible, delivery: delivery)
  }

  package var visible: SparseImage { medium.state.withLock { $0.cache.visible } }
  package var durable: SparseImage { medium.state.withLock { $0.cache.durable } }
}
