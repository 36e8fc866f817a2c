// The superblock of a store that grows. Copies 0 and 1 stay, copies 2 and 3 move to the new end,
// where they are found by whoever knows the size: from the end of the device, or from copy 0 or 1.

import VarveFormat
import VarveIO

extension SuperblockStore {
  /// Writes the first superblock that names the new size.
  ///
  /// DURABILITY: copy 0 comes first and is flushed, so that whoever meets a copy at the new end has
  /// met copy 0 before: it is never there alone, to be found by one open and missed by the next.
  /// Until copy 1 is written, it leads to the two at the old end: whatever part of copy 0 is lost,
  /// three copies name the old size. Then copies 2 and 3, flushed, before copy 1: at every moment
  /// two whole copies of one version can be found. The tables of both sizes hold meanwhile.
  ///
  /// On return copies 0 and 1 and one of the others are durable, so that no election ends with the
  /// old size any more, and what lay at the old end may be reused. Otherwise it throws, and the
  /// caller poisons the store, which changes nothing from then on.
  static func writeGrown(
    _ superblock: Superblock, on device: any BlockDevice
  ) async throws(IOError) {
    try await write(superblock, copies: [0], on: device, failureCount: 0)
    try await write(superblock, copies: [2, 3], on: device, failureCount: 1)
    try await write(superblock, copies: [1], on: device, failureCount: 0)
  }

  private static func write(
    _ superblock: Superblock, copies: [Int], on device: any BlockDevice, failureCount: Int
  ) async throws(IOError) {
    let buffer = PageBuffer(pageCount: 1)
    var failures: [IOError] = []
    for copy in copies {
      buffer.withMutablePage(0) { superblock.encode(into: &$0, copy: copy) }
      let page = superblock.geometry.superblockPage(copy: copy)
      if let error = await device.write(1, pagesAt: page, from: buffer) { failures.append(error) }
    }
    if failures.count > failureCount, let first = failures.first { throw first }
    if let error = await device.flush() { throw error }
  }

  /// Voids the copies at the end that the store had before it grew: where the device is cut back to
  /// that size one day, they would pass for its newest ones.
  ///
  /// DURABILITY: called once the new size is durable, and before the segments there are used.
  static func voidTail(of old: Geometry, on device: any BlockDevice) async throws(IOError) {
    let zeros = PageBuffer(pageCount: 1)
    for copy in 2..<Superblock.copyCount {
      _ = await device.write(1, pagesAt: old.superblockPage(copy: copy), from: zeros)
    }
    if let error = await device.flush() { throw error }
  }

  /// Brings the copies up to the one that counts, where a growth was interrupted.
  ///
  /// DURABILITY: a copy that holds it is not touched, so that a crash in here elects the same. It
  /// comes before anything else is changed: as long as a copy of the old size could be elected, the
  /// table that it stands for must not be left behind.
  static func completeGrowth(
    _ superblock: Superblock, on device: any BlockDevice
  ) async throws(IOError) {
    let buffer = PageBuffer(pageCount: 1)
    for half in [[2, 3], [0, 1]] {
      for copy in half {
        let page = superblock.geometry.superblockPage(copy: copy)
        if await device.read(1, pagesAt: page, into: buffer) == nil,
          buffer.withPage(0, { (try? Superblock(decoding: $0, at: page)) == superblock })
        {
          continue
        }
        buffer.withMutablePage(0) { superblock.encode(into: &$0, copy: copy) }
        // A copy that cannot be written is for the next update to judge.
        _ = await device.write(1, pagesAt: page, from: buffer)
      }
      if let error = await device.flush() { throw error }
    }
  }
}
