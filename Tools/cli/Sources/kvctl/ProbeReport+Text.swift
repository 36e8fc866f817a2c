import Console
import DeviceLoad
import VarveIO

extension ProbeReport {
  /// The report for people.
  var text: String {
    var parts = [Description.table(rows)]
    if !measurements.isEmpty { parts.append(table) }
    if !warnings.isEmpty {
      parts.append(warnings.map { "WARNING  \($0.message)" }.joined(separator: "\n"))
    }
    if !distortions.isEmpty {
      let lines = ["what may bend these numbers:"] + distortions.map { "  \($0)" }
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
      ("path", "\(path): \(what)\(access)"),
      ("device", "\(traits.name ?? "unknown")\(kind == .device ? "" : ", \(fileSystem)")"),
      ("measured", "\(ByteSize(region.byteCount)) that hold data"),
      ("direct I/O", directText), ("alignment", alignmentText),
      (
        "write cache",
        traits.hasVolatileCache.map {
          $0 ? "volatile: what is not flushed may be lost" : "none, or not volatile"
        } ?? "unknown"
      ),
      ("FUA", Self.word(traits.hasForcedUnitAccess)), ("atomic writes", atomicText),
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
    return traits.offsetAlignment == 0 ? "accepted, but not done" : "yes"
  }

  private var alignmentText: String {
    func bytes(_ count: Int?) -> String { count.map { "\($0) B" } ?? "unknown" }
    let announced =
      "sectors of \(bytes(traits.logicalSectorByteCount)) logical, "
      + "\(bytes(traits.physicalSectorByteCount)) physical"
    guard let reads = alignment.canReadSectors else { return announced }
    let memory = alignment.canReadToSectorMemory == true ? "works" : "does not"
    let writes = alignment.canWriteSectors.map { $0 ? ", writing it works" : ", writing it does not" }
    return announced + "; tried: reading 512 B \(reads ? "works" : "does not")"
      + "\(writes ?? ""), memory at 512 B \(memory)"
  }

  private var atomicText: String {
    guard let maximum = traits.atomicMaximumByteCount else { return "unknown" }
    guard maximum > 0 else { return "not announced" }
    let minimum = traits.atomicMinimumByteCount ?? maximum
    return "from \(ByteSize(UInt64(minimum))) to \(ByteSize(UInt64(maximum)))"
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
    return Self.aligned(lines)
  }

  private static func microseconds(_ nanoseconds: UInt64) -> String {
    nanoseconds < 10_000
      ? "\((Double(nanoseconds) / 100).rounded() / 10)" : "\((nanoseconds + 500) / 1000)"
  }

  /// Columns as wide as they must be: text to the left, numbers to the right.
  private static func aligned(_ lines: [[String]]) -> String {
    let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
      zip(line, widths).enumerated().map { column, cell in
        let padding = String(repeating: " ", count: cell.1 - cell.0.count)
        return [0, 2].contains(column) ? cell.0 + padding : padding + cell.0
      }.joined(separator: "  ")
    }.joined(separator: "\n")
  }
}
