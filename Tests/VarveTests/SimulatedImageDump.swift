import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// What lies on an image, as lines of text: for the message of a test that fails.
enum ImageDump {
  static func describe(_ image: SparseImage) async -> String {
    let device = RAMDevice(image: image, delivery: .inline)
    let election = await SuperblockStore.elect(on: device)
    guard let superblock = election.superblock else { return "no superblock" }
    var lines = [
      "superblock: version \(superblock.version) in \(election.validCount) copies, "
        + "open \(superblock.openCount) \(superblock.shutdown), ceiling "
        + "\(superblock.sequenceCeiling.rawValue), cut \(String(describing: superblock.cut)), "
        + "checkpoint \(String(describing: superblock.checkpoint))"
    ]
    let (table, lostPages) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: device)
    lines.append("table: version \(table.pages.map(\.version)), lost pages \(lostPages)")
    let scanner = FrameScanner(
      device: device, geometry: superblock.geometry, uuid: superblock.uuid,
      checksum: Checksum(uuid: superblock.uuid),
      hashKey: HashKey(low: superblock.hashKeyLow, high: superblock.hashKeyHigh),
      cut: superblock.cut)
    for (segment, entry) in table.entries where entry.state != .free {
      lines.append("segment \(segment.rawValue): \(entry)")
      guard entry.stream == .user else { continue }
      let scan = await scanner.scan(segment, generation: entry.generation, endPage: nil)
      lines.append("  header \(scan.header.map { "\($0)" } ?? "none")")
      lines.append(
        "  \(scan.nextOrdinal) frames, pages ..< \(scan.endPage), sequences "
          + "\(scan.records.map(\.sequence.rawValue)), watermark \(scan.durableWatermark.rawValue)")
      for frame in scan.leftovers.frames { lines.append("  leftover \(frame.header)") }
      lines.append("  \(scan.leftovers.damagedPageCount) damaged pages behind")
    }
    return lines.joined(separator: "\n")
  }
}
