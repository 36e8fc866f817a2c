import Console
import DeviceLoad
import VarveIO

/// Everything that a probe found out.
struct ProbeReport {
  var path: String
  var kind: ProbeTarget.Kind
  var byteCount: UInt64
  var fileSystem: String
  var isDirect: Bool
  var wroteOver: Bool
  var holder: LockHolder?
  var traits: DeviceTraits
  var headroom: AIOHeadroom?
  var alignment = SectorTrial()
  var region = DataRegion([])
  var engines: [DeviceEngine] = []
  var measurements: [ProbeMeasurement] = []
  var warnings: [ProbeWarning] = []
  /// What the I/O layer says against the file system, and where a link led.
  private let place: [String]
  /// What may make the numbers better or worse than the device is.
  var distortions: [String] = []

  init(_ target: borrowing ProbeTarget) {
    path = target.path
    kind = target.kind
    byteCount = target.file.byteCount
    fileSystem = target.file.fileSystem.name
    isDirect = target.file.isDirect
    wroteOver = target.mayWrite
    holder = target.holder
    traits = target.file.traits()
    headroom = AIOHeadroom.current()
    place = [
      target.file.fileSystem.warning.map { "it lies on \(target.file.fileSystem): \($0)" },
      target.file.resolvedTarget.map { "\(target.path) leads to \($0)" },
    ].compactMap { $0 }
  }

  mutating func warn(_ code: ProbeWarning.Code, _ message: String) {
    warnings.append(ProbeWarning(code, message))
  }

  /// Whether the file is in memory, whatever the kernel says of direct I/O.
  var isMemory: Bool { ["tmpfs", "ramfs"].contains(fileSystem) }

  /// Whether requests reach a device without the page cache, as far as anybody says.
  var hasDirectIO: Bool { isDirect && traits.offsetAlignment != 0 && !isMemory }

  // MARK: Judging

  /// The share from which a submission counts as synchronous.
  private static let synchronousShare = 0.7
  /// With fewer free AIO requests than this, a store on many cores may not start: one context for
  /// every four cores takes 129, eight at most.
  private static let leastFreeRequestCount: UInt64 = 1024
  /// A region below this fits the cache of a disk.
  private static let leastRegionByteCount: UInt64 = 256 << 20

  /// Draws the warnings from what was found; called once, at the end.
  mutating func judge() {
    for text in place { warn(.place, text) }
    if !isDirect {
      warn(
        .buffered,
        "no direct I/O: every request goes through the page cache, which caches twice, blocks"
          + " whoever submits, and may answer reads without the disk")
    } else if traits.offsetAlignment == 0 {
      warn(
        .directIgnored,
        "the file can be opened for direct I/O, but the kernel says that there is none for it"
          + " (statx): it goes through the page cache; look for encryption, journalled data or"
          + " compression")
    }
    if let text = alignment.contradiction(of: traits) { warn(.alignment, text) }
    if traits.hasVolatileCache == true {
      warn(
        .volatileCache,
        "the write cache is volatile: what is not flushed is lost by a power failure, so that"
          + " durability hangs on the flushes; leave them on, and look at the flush rate")
    }
    if let headroom, headroom.freeCount < Self.leastFreeRequestCount {
      warn(
        .aioHeadroom,
        "only \(headroom.freeCount) Linux AIO requests are left: raise fs.aio-max-nr (sysctl)")
    }
    for measurement in measurements where measurement.cell.kind == .randomRead {
      guard measurement.cell.depth == 1, let share = measurement.submitShare,
        share >= Self.synchronousShare
      else { continue }
      warn(
        .synchronousSubmission,
        "\(measurement.engine.toolName): \(Int(share * 100)) % of a read passes before its"
          + " submission returns: the path is buffered, or the device answers within the call as"
          + " memory disks do; more in flight from one thread bring nothing")
    }
    if region.byteCount < Self.leastRegionByteCount {
      warn(
        .smallRegion,
        measurements.isEmpty
          ? "no data to read: nothing was measured; probe the directory, or a store that is filled"
          : "only \(ByteSize(region.byteCount)) of data were measured: caches of the disk and of"
            + " the host may hold it all")
    }
    if !measurements.isEmpty, !measurements.contains(where: { $0.cell.kind == .sequentialRead }) {
      warn(.smallRegion, "too little data in one piece: nothing was read or written in order")
    }
  }
}
