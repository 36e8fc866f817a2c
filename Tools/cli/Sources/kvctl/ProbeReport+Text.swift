import Console
import DeviceLoad
import Measuring
import VarveIO

extension ProbeReport {
  /// The report for people.
  var text: String {
    var parts = [Description.table(rows)]
    if !measurements.isEmpty { parts.append(table) }
    if !warnings.isEmpty {
      parts.append(
        warnings.map { TextTable.wrapped($0.message, label: "WARNING  ") }.joined(separator: "\n"))
    }
    if !distortions.isEmpty {
      let lines =
        ["what may bend these numbers:"] + distortions.map { TextTable.wrapped($0, label: "- ") }
      parts.append(lines.joined(separator: "\n"))
    }
    return parts.joined(separator: "\n\n")
  }

  private var rows: [(name: String, value: String)] {
    let what =
      switch kind {
      case .directory: "a temporary file of \(ByteSize(byteCount)), removed"
      case .file: "a file of \(ByteSize(byteCount))"
      case .device: "a device of \(ByteSize(byteCount))"
      }
    let access = kind == .directory ? "" : wroteOver ? ", OVERWRITTEN" : ", only read"
    var rows = [
      ("path", path), ("is", what + access),
      ("device", "\(traits.name ?? "unknown")\(kind == .device ? "" : ", \(fileSystem)")"),
      ("measured", "\(ByteSize(region.byteCount)) that hold data"),
      ("direct I/O", directText), ("sectors", sectorText), ("512 B, tried", triedText),
      (
        "write cache",
        traits.hasVolatileCache.map {
          $0 ? "volatile: what is not flushed may be lost" : "none, or not volatile"
        } ?? "unknown"
      ),
      ("FUA", Self.word(traits.hasForcedUnitAccess)), ("atomic writes", atomicText),
      ("discard", discardText),
      (
        "aio requests",
        headroom.map { "\($0.usedCount) of \($0.maximumCount) reserved (fs.aio-max-nr)" }
          ?? "unknown"
      ),
    ]
    if let holder {
      rows.insert(("in use", "by process \(holder.processID)"), at: 1)
    }
    return rows
  }

  private var directText: String {
    guard isDirect else { return "no: through the page cache, as asked" }
    guard !isMemory else { return "accepted, but the file is in memory" }
    return traits.offsetAlignment == 0 ? "accepted, but not done" : "yes"
  }

  private var sectorText: String {
    func bytes(_ count: Int?) -> String { count.map { "\($0) B" } ?? "unknown" }
    let logical = bytes(traits.logicalSectorByteCount)
    return "\(logical) logical, \(bytes(traits.physicalSectorByteCount)) physical"
  }

  private var triedText: String {
    func word(_ value: Bool?) -> String { value.map { $0 ? "works" : "refused" } ?? "not tried" }
    return "read \(word(alignment.canReadSectors)), write \(word(alignment.canWriteSectors)), "
      + "memory at 512 B \(word(alignment.canReadToSectorMemory))"
  }

  private var atomicText: String {
    guard let maximum = traits.atomicMaximumByteCount else { return "unknown" }
    guard maximum > 0 else { return "not announced" }
    let minimum = traits.atomicMinimumByteCount ?? maximum
    return "from \(ByteSize(UInt64(minimum))) to \(ByteSize(UInt64(maximum)))"
  }

  private var discardText: String {
    guard let byteCount = traits.discardGranularityByteCount else { return "unknown" }
    return byteCount > 0 ? "in units of \(ByteSize(UInt64(byteCount)))" : "not announced"
  }

  private static func word(_ value: Bool?) -> String {
    value.map { $0 ? "yes" : "no" } ?? "unknown"
  }

  // MARK: The table

  private var table: String {
    let heading = ["", "depth", "engine", "a second", "MB/s", "p50 µs", "p99", "p99.9", "max"]
    var lines = [heading]
    var last: ProbeMeasurement.Cell?
    for measurement in measurements {
      let (cell, total) = (measurement.cell, measurement.total)
      let isFirst = cell != last
      last = cell
      let megabytes = total.rate * Double(cell.kind.byteCount) / 1e6
      let latencies = total.latencies
      lines.append(
        [
          isFirst ? cell.kind.title : "", isFirst ? "\(cell.depth)" : "",
          measurement.engine.toolName, "\(Int(total.rate.rounded()))",
          megabytes < 10 ? "\((megabytes * 10).rounded() / 10)" : "\(Int(megabytes.rounded()))",
        ]
          + [50, 99, 99.9].map { Self.microseconds(latencies.nanoseconds(atPercent: $0)) }
          + [Self.microseconds(latencies.maximumNanoseconds)])
    }
    return TextTable.text(lines, leftColumns: [0, 2])
  }

  private static func microseconds(_ nanoseconds: UInt64) -> String {
    nanoseconds < 10_000
      ? "\((Double(nanoseconds) / 100).rounded() / 10)" : "\((nanoseconds + 500) / 1000)"
  }
}
