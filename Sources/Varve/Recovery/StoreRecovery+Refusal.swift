// Why a device is no store, in words that keep its owner from formatting the wrong one.

import VarveFormat
import VarveIO

extension StoreRecovery {
  /// The error for a device without a superblock.
  static func refusal(
    of device: any BlockDevice, _ election: SuperblockStore.Election
  ) async -> StoreError {
    if election.isNewerFormat {
      return StoreError(
        .refused, "the store was written by a newer version of Varve; use that version")
    }
    if let failure = election.failure {
      return StoreError(
        .refused, "no superblock can be read: \(failure)", byteOffset: failure.byteOffset)
    }
    if election.isDamaged {
      return StoreError(
        .refused,
        "all copies of the superblock are damaged, or the device has been grown or cut; "
          + "nothing was changed. Restore a copy of the device, or use kvfsck on one")
    }
    if let found = await signature(of: device) {
      return StoreError(
        .refused,
        "this is not a Varve store: it holds \(found), which a format would destroy. Check the "
          + "path")
    }
    return StoreError(
      .refused,
      "this is not a Varve store: no superblock at either end. Check the path, or format it with "
        + "`kvctl create`")
  }

  /// What is recognised at the ends of a device; nil where they are zero or cannot be read.
  private static func signature(of device: any BlockDevice) async -> DeviceSignature? {
    let pageByteCount = UInt64(Limits.pageByteCount)
    let pageCount = min(DeviceSignature.edgeByteCount, device.byteCount) / pageByteCount
    guard pageCount > 0 else { return nil }
    let tailPage = device.byteCount / pageByteCount - pageCount
    guard let head = await bytes(Int(pageCount), at: PageIndex(0), of: device),
      let tail = await bytes(Int(pageCount), at: PageIndex(tailPage), of: device)
    else { return nil }
    return DeviceSignature.identify(
      head: head, tail: tail, tailByteOffset: tailPage * pageByteCount)
  }

  private static func bytes(
    _ pageCount: Int, at page: PageIndex, of device: any BlockDevice
  ) async -> [UInt8]? {
    let buffer = PageBuffer(pageCount: pageCount)
    guard await device.read(pageCount, pagesAt: page, into: buffer) == nil else { return nil }
    return buffer.withBytes(0..<buffer.byteCount) { bytes in
      (0..<bytes.byteCount).map { bytes.load($0, as: UInt8.self) }
    }
  }
}
