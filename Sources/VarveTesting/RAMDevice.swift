import Synchronization
import VarveIO

/// A device without faults that lives in memory: for the unit tests of code that uses a store.
///
/// It takes as much memory as was written, in chunks of 64 KiB. Nothing survives it: a flush is a
/// no-op. Misaligned and out-of-range requests fail as they do on a kernel.
public final class RAMDevice: BlockDevice {
  private final class Medium: RequestExecutor {
    let image: Mutex<SparseImage>

    init(image: SparseImage) { self.image = Mutex(image) }

    func execute(_ request: IORequest, ticket: UInt64) -> IOError? {
      image.withLock { image in
        if let refusal = request.refusal(deviceByteCount: image.byteCount) { return refusal }
        switch request.operation {
        case .read: request.fill(from: image)
        case .write, .writeDurably: request.write(to: &image)
        case .flush: break
        }
        return nil
      }
    }
  }

  private let medium: Medium
  private let pump: RequestPump

  private let addressableByteCount: Atomic<UInt64>

  /// The bytes that can be addressed.
  public var byteCount: UInt64 { addressableByteCount.load(ordering: .acquiring) }

  /// True: it grows as a file does.
  public var isExtensible: Bool { true }

  /// A device of zeros.
  ///
  /// - Parameters:
  ///   - byteCount: The capacity, a multiple of 4096; memory is taken as it is written.
  ///   - delivery: Where requests are completed: two threads of its own, or inline.
  public convenience init(byteCount: UInt64, delivery: Delivery = .background) {
    self.init(image: SparseImage(byteCount: byteCount), delivery: delivery)
  }

  package init(image: SparseImage, delivery: Delivery) {
    precondition(
      image.byteCount > 0 && image.byteCount % 4096 == 0, "a device has whole pages")
    precondition(delivery != .manual, "a RAM device has no step: use a SimulatedDevice")
    addressableByteCount = Atomic(image.byteCount)
    medium = Medium(image: image)
    pump = RequestPump(executor: medium, delivery: delivery, threadCount: 2, orderSeed: nil)
  }

  deinit { pump.close() }

  /// Makes the device as large as the end of `range`, which reads as zeros.
  ///
  /// - Throws: `DeviceError` with code `cancelled` where `progress` says so.
  public func extend(
    over range: Range<UInt64>, progress: (_ done: UInt64, _ total: UInt64) -> Bool
  ) throws(DeviceError) {
    let total = range.upperBound - range.lowerBound
    guard !progress(0, total) else {
      throw DeviceError(.cancelled, path: "", message: "extending the device was cancelled")
    }
    medium.image.withLock { image in
      let present = image.byteCount
      if range.lowerBound < present {
        let count = Int(min(present, range.upperBound) - range.lowerBound)
        image.write([UInt8](repeating: 0, count: count), at: range.lowerBound)
      }
      image.resize(to: max(present, range.upperBound))
      addressableByteCount.store(image.byteCount, ordering: .releasing)
    }
    _ = progress(total, total)
  }

  /// Hands a request to the device.
  public func submit(_ request: IORequest) { pump.enqueue(request, ticket: 0) }

  /// Completes what is in flight and ends the threads. The content stays readable to `copy()`.
  public func close() { pump.close() }

  /// Another device with the content that this one has now: what a reopened store would find.
  public func copy(delivery: Delivery = .background) -> RAMDevice {
    RAMDevice(image: image, delivery: delivery)
  }

  /// The content now; it shares its chunks with the device until one of the two is written.
  package var image: SparseImage { medium.image.withLock { $0 } }

  /// Replaces the content of a range behind the back of whoever uses the device.
  package func overwrite(_ bytes: [UInt8], at byteOffset: UInt64) {
    medium.image.withLock { $0.write(bytes, at: byteOffset) }
  }
}
