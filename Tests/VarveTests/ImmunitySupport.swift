import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Stores of a small geometry on RAM devices, and what lies on them.
enum Immunity {
  static let filler = [UInt8](repeating: 7, count: 11000)

  static func store() async throws -> (Store, RAMDevice) {
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    return (try await Harness.open(device), device)
  }

  /// Opens what a kill right now would leave behind.
  static func killed(_ device: RAMDevice) async throws -> (Store, RAMDevice) {
    let copy = device.copy(delivery: .inline)
    return (try await Harness.open(copy), copy)
  }

  /// The segments of a stream that are in a state on a device, closed or not, and the geometry.
  static func segments(
    _ closed: RAMDevice, _ state: SegmentState, stream: StreamKind = .user
  ) async -> (segments: [SegmentIndex], geometry: Geometry)? {
    let device = closed.copy(delivery: .inline)
    guard let superblock = await SuperblockStore.elect(on: device).superblock else { return nil }
    let (table, _) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: device)
    let found = table.entries.filter { $0.entry.state == state && $0.entry.stream == stream }
    return (found.map(\.segment), superblock.geometry)
  }

  /// The bytes of a segment on its device.
  static func range(of segment: SegmentIndex, _ geometry: Geometry) -> Range<UInt64> {
    let start = geometry.firstPage(of: segment).rawValue * UInt64(Limits.pageByteCount)
    return start..<start + UInt64(geometry.segmentByteCount)
  }
}
