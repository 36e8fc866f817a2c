// What the kernel announces of the device under a file. Announced is not true: whoever depends on a
// trait tries it.

import CVarveAIO
import Glibc

/// What the kernel says of a block device, or of the one under a file. Nil is "it does not say".
public struct DeviceTraits: Hashable, Sendable {
  /// The kernel's name of the block device: "vda", "nvme0n1p2".
  public var name: String?
  /// What direct I/O to the device must be aligned to.
  public var logicalSectorByteCount: Int?
  /// What the device writes as one.
  public var physicalSectorByteCount: Int?
  /// What a direct transfer of this file must be aligned to; 0 where there is no direct I/O, even
  /// if the file can be opened for it.
  public var offsetAlignment: Int?
  /// What the memory of a direct transfer must be aligned to; 0 as above.
  public var memoryAlignment: Int?
  /// Whether a write may be lost by a power failure until it is flushed.
  public var hasVolatileCache: Bool?
  /// Whether the device can write past its cache (FUA).
  public var hasForcedUnitAccess: Bool?
  /// The smallest write that is promised to be whole or absent after a power failure; 0 for none.
  public var atomicMinimumByteCount: Int?
  /// The largest such write; 0 for none.
  public var atomicMaximumByteCount: Int?
  /// What the device takes note of when it is told that a range is no longer needed; 0 where it
  /// takes no such discards.
  public var discardGranularityByteCount: Int?
  /// Whether the device has a head to move.
  public var isRotational: Bool?

  /// Nothing is known.
  public init() {}
}

extension DirectFile {
  /// Asks the kernel (statx, the device itself, /sys) what it knows; writes nothing.
  public borrowing func traits() -> DeviceTraits {
    var traits = DeviceTraits()
    var status = stat()
    // SAFETY: fstat fills one structure, a local variable.
    guard unsafe fstat(descriptorNumber, &status) == 0 else { return traits }
    let number = UInt64(kind == .blockDevice ? status.st_rdev : status.st_dev)
    traits.readQueue(ofDevice: number)
    if kind == .blockDevice { traits.readSectors(descriptorNumber) }
    traits.readStatus(descriptorNumber)
    return traits
  }
}

extension DeviceTraits {
  /// What /sys says of a device; nothing for a file system that has none of its own.
  fileprivate mutating func readQueue(ofDevice number: UInt64) {
    let folder = "/sys/dev/block/\(varve_device_major(number)):\(varve_device_minor(number))"
    let event = KernelText.read(folder + "/uevent").split(separator: "\n")
    name = event.first { $0.hasPrefix("DEVNAME=") }.map { String($0.dropFirst("DEVNAME=".count)) }
    guard name != nil else { return }
    func value(_ entry: String) -> String? {
      // A partition has the queue of its disk, one folder up.
      for queue in [folder + "/queue/", folder + "/../queue/"] {
        let text = KernelText.read(queue + entry)
        if !text.isEmpty { return text }
      }
      return nil
    }
    logicalSectorByteCount = value("logical_block_size").flatMap { Int($0) }
    physicalSectorByteCount = value("physical_block_size").flatMap { Int($0) }
    hasVolatileCache = value("write_cache").map { $0 == "write back" }
    hasForcedUnitAccess = value("fua").map { $0 != "0" }
    isRotational = value("rotational").map { $0 != "0" }
    // Without a maximum there is no support, whatever the granularity says.
    discardGranularityByteCount = value("discard_max_bytes").flatMap { UInt64($0) }.map {
      $0 == 0 ? 0 : value("discard_granularity").flatMap { Int($0) } ?? 0
    }
    atomicMinimumByteCount = value("atomic_write_unit_min_bytes").flatMap { Int($0) }
    atomicMaximumByteCount = value("atomic_write_unit_max_bytes").flatMap { Int($0) }
  }

  fileprivate mutating func readSectors(_ descriptor: Int32) {
    var byteCount: UInt32 = 0
    // SAFETY: the shims write one integer.
    if unsafe varve_block_device_sector_byte_count(descriptor, &byteCount) == 0 {
      logicalSectorByteCount = Int(byteCount)
    }
    if unsafe varve_block_device_physical_byte_count(descriptor, &byteCount) == 0 {
      physicalSectorByteCount = Int(byteCount)
    }
  }

  fileprivate mutating func readStatus(_ descriptor: Int32) {
    var status = varve_io_traits()
    // SAFETY: the shim fills one structure, a local variable.
    guard unsafe varve_io_traits_of(descriptor, &status) == 0 else { return }
    if status.knowsDirect != 0 {
      offsetAlignment = Int(status.offsetAlignment)
      memoryAlignment = Int(status.memoryAlignment)
    }
    if status.knowsAtomic != 0 {
      atomicMinimumByteCount = Int(status.atomicMinimum)
      atomicMaximumByteCount = Int(status.atomicMaximum)
    } else if atomicMaximumByteCount != 0 {
      // What the device can do need not pass through the file system.
      atomicMinimumByteCount = nil
      atomicMaximumByteCount = nil
    }
  }
}
