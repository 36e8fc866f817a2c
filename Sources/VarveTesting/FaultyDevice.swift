import Glibc
import Synchronization
import VarveIO

/// Injects faults into any device, also one over a real file and engine.
///
/// ```swift
/// let opened = try await Devices.open("/data/test.varve")
/// let device = FaultyDevice(opened.device, faults: FaultPlan().failing(.write, .once(3)))
/// let store = try await Store.open(device: device)
/// ```
///
/// A fault does what it does on a `SimulatedDevice`, except for data that a failed flush loses:
/// what a kernel drops then, this device cannot take back. Requests that reach nothing are
/// completed on the thread that submits them.
public final class FaultyDevice: BlockDevice {
  private let base: any BlockDevice
  private let injector: Mutex<FaultInjector>

  /// Wraps a device, which is closed with this one.
  public init(_ base: any BlockDevice, faults: FaultPlan = FaultPlan()) {
    self.base = base
    injector = Mutex(FaultInjector(plan: faults))
  }

  /// Replaces the plan; occurrences are counted from here on.
  public func install(_ faults: FaultPlan) {
    injector.withLock { $0 = FaultInjector(plan: faults) }
  }

  /// Those of the device below.
  public var byteCount: UInt64 { base.byteCount }

  /// Hands the request to the device below, unless the plan has something else for it.
  public func submit(_ request: IORequest) {
    let (effect, ranges) = injector.withLock { injector -> (FaultPlan.Effect?, [Range<Int>]) in
      let effect = injector.decide(request)
      switch effect {
      case .fail where request.isWriting, .tear:
        let isTorn = effect == .tear
        return (effect, injector.landingRanges(byteCount: request.byteCount, isTorn: isTorn))
      default: return (effect, [])
      }
    }
    switch effect {
    case nil: base.submit(request)
    case .fail(let errorNumber), .failLosingData(let errorNumber):
      land(ranges, of: request, at: request.byteOffset, errorNumber: errorNumber)
    case .tear: land(ranges, of: request, at: request.byteOffset, errorNumber: 0)
    case .lose: request.complete(nil)
    case .misdirect(let byteOffset):
      land([0..<request.byteCount], of: request, at: byteOffset, errorNumber: 0)
    }
  }

  /// Writes parts of a request, then completes it as the plan wants.
  private func land(
    _ ranges: [Range<Int>], of request: IORequest, at byteOffset: UInt64, errorNumber: Int32
  ) {
    let error = errorNumber == 0 ? nil : IOError(request, errorNumber: errorNumber)
    guard !ranges.isEmpty else { return request.complete(error) }
    let parts = PartialWrite(of: request, error, partCount: ranges.count)
    for range in ranges {
      let start = byteOffset + UInt64(range.lowerBound)
      base.submit(PartialWrite.Part(parts, range, byteOffset: start))
    }
  }

  /// Whether the device below makes more bytes.
  public var isExtensible: Bool { base.isExtensible }

  /// The bytes of the device below now.
  ///
  /// - Throws: what the device below throws.
  public func presentByteCount() throws(DeviceError) -> UInt64 { try base.presentByteCount() }

  /// Extends the device below.
  ///
  /// - Throws: what the device below throws.
  public func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError) {
    try base.extend(over: range, progress: progress)
  }

  /// Threads of the device below; their requests come here like all others.
  public func makeExecutor(
    threadCount: Int, onStall: @escaping @Sendable (_ nanoseconds: UInt64) -> Void
  ) throws(DeviceError) -> IOExecutor {
    try base.makeExecutor(threadCount: threadCount, onStall: onStall)
  }

  /// That of the device below.
  public var discardGranularityByteCount: Int? { base.discardGranularityByteCount }

  /// Discards a range of the device below: no rule speaks of that.
  ///
  /// - Throws: what the device below throws.
  public func discard(_ range: Range<UInt64>) throws(DeviceError) { try base.discard(range) }

  /// Closes the device below.
  public func close() { base.close() }
}

extension IORequest {
  fileprivate var isWriting: Bool { operation == .write || operation == .writeDurably }
}

/// A write of which only parts reach the device.
private final class PartialWrite: Sendable {
  private let request: IORequest
  private let error: IOError?
  /// A copy: the parts need not be aligned in the memory of the request.
  private let payload: [UInt8]
  private let missingCount: Atomic<Int>
  private let partError = Mutex<IOError?>(nil)

  init(of request: IORequest, _ error: IOError?, partCount: Int) {
    self.request = request
    self.error = error
    payload = request.payload
    missingCount = Atomic(partCount)
  }

  private func completed(_ error: IOError?) {
    if let error { partError.withLock { $0 = error } }
    guard missingCount.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    request.complete(self.error ?? partError.withLock { $0 })
  }

  /// SAFETY: nothing in it changes once it is submitted.
  final class Part: IORequest, @unchecked Sendable {
    private let whole: PartialWrite
    private let buffer: AlignedMemory

    init(_ whole: PartialWrite, _ range: Range<Int>, byteOffset: UInt64) {
      self.whole = whole
      let buffer = AlignedMemory(byteCount: range.count)
      let memory = unsafe buffer.base
      // SAFETY: at least as many bytes as were just allocated, of an array that has them.
      unsafe whole.payload[range].withUnsafeBytes {
        unsafe UnsafeMutableRawBufferPointer(start: memory, count: range.count).copyMemory(from: $0)
      }
      self.buffer = buffer
      unsafe super.init(
        operation: .write, memory: memory, byteCount: range.count, byteOffset: byteOffset)
    }

    override func complete(_ error: IOError?) { whole.completed(error) }
  }
}
