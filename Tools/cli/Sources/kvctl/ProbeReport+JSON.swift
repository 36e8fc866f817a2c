import Console
import DeviceLoad
import VarveIO

extension ProbeReport {
  /// The report as one object; members are added, never changed.
  var json: JSONValue {
    [
      "ok": true, "path": .string(path), "kind": .string(kind.rawValue),
      "sizeBytes": .count(byteCount), "measuredBytes": .count(region.byteCount),
      "wrote": .bool(wroteOver), "fileSystem": .string(fileSystem),
      "blockDevice": traits.name.map { .string($0) } ?? .null,
      "rotational": Self.bool(traits.isRotational),
      "live": .bool(holder != nil),
      "holderPid": holder.map { .count($0.processID) } ?? .null,
      "directIO": .bool(hasDirectIO),
      "alignment": alignmentJSON,
      "writeCache": .string(
        traits.hasVolatileCache.map { $0 ? "volatile" : "none" } ?? "unknown"),
      "fua": Self.bool(traits.hasForcedUnitAccess),
      "atomicWrite": [
        "minimumBytes": Self.count(traits.atomicMinimumByteCount),
        "maximumBytes": Self.count(traits.atomicMaximumByteCount),
      ],
      "discardGranularityBytes": Self.count(traits.discardGranularityByteCount),
      "aioRequests": [
        "used": headroom.map { .count($0.usedCount) } ?? .null,
        "maximum": headroom.map { .count($0.maximumCount) } ?? .null,
      ],
      "engines": .array(engines.map { .string($0.toolName) }),
      "measurements": .array(measurements.map(\.json)),
      "warnings": .array(warnings.map(\.json)),
      "distortions": .array(distortions.map { .string($0) }),
    ]
  }

  private var alignmentJSON: JSONValue {
    [
      "logicalSectorBytes": Self.count(traits.logicalSectorByteCount),
      "physicalSectorBytes": Self.count(traits.physicalSectorByteCount),
      "announcedOffsetBytes": Self.count(traits.offsetAlignment),
      "announcedMemoryBytes": Self.count(traits.memoryAlignment),
      "reads512": Self.bool(alignment.canReadSectors),
      "memory512": Self.bool(alignment.canReadToSectorMemory),
      "writes512": Self.bool(alignment.canWriteSectors),
      "sectorsAgree": Self.bool(alignment.doSectorsAgree),
      "honest": .bool(alignment.contradiction(of: traits) == nil),
    ]
  }

  private static func bool(_ value: Bool?) -> JSONValue { value.map { .bool($0) } ?? .null }

  private static func count(_ value: Int?) -> JSONValue { value.map { .count($0) } ?? .null }
}
