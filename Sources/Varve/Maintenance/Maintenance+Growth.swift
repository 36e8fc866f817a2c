// A store that grows while it is open. What is new lies beyond the old end until one superblock
// names the new size, and everything from the new table to that superblock is one step of this
// task: no change of the table or the superblock comes between.
//
//   tail    the whole table to the new end                 (SegmentTable+Growth), flush
//   head    the pages of the table that become fuller or are new, flush
//   name    copy 0, flush; copies 2 and 3, flush; copy 1, flush   (SuperblockStore+Growth)
//   void    the superblock copies at the old end
//   use     the new segments are free ones like all others
//
// DURABILITY: a crash before copy 0 is durable leaves the old size with its table and its four
// copies, untouched; after it the new size, whose table has been durable before. The old end is put
// to use only after that, as a part of new segments.

import Logging
import VarveFormat
import VarveIO

extension Maintenance {
  /// Lets the store have the size of `geometry`, for which the device has the bytes.
  ///
  /// - Returns: why it has not grown, or nil.
  func grow(to geometry: Geometry) async -> StoreError? {
    guard !log.isPoisoned else { return .poisonedStore }
    let old = superblock.geometry
    let grown = SegmentTable(growing: ledger.table, to: geometry)
    do throws(IOError) {
      counters.add(counters.metadataBytes, try await grown.writeTail(on: device))
    } catch {
      guard error.operation == .flush else {
        return StoreError(
          .io, "the store has not grown, and is as it was: its new end cannot be written: \(error)",
          byteOffset: error.byteOffset)
      }
      return poison(error)
    }
    do throws(IOError) {
      let headByteCount = try await grown.writeHead(insteadOf: ledger.table, on: device)
      superblock.geometry = geometry
      superblock.version += 1
      clock.stamp(&superblock)
      try await SuperblockStore.writeGrown(superblock, on: device)
      clock.recorded(superblock)
      try await SuperblockStore.voidTail(of: old, on: device)
      counters.add(
        counters.metadataBytes,
        headByteCount + (Superblock.copyCount + 2) * Limits.pageByteCount)
    } catch {
      return poison(error)
    }
    use(grown)
    return nil
  }

  private func poison(_ error: IOError) -> StoreError {
    log.poison("the store could not be grown: \(error)")
    return .poisonedStore
  }

  private func use(_ grown: SegmentTable) {
    let segmentCount = grown.geometry.segmentCount
    ledger.grow(to: grown)
    compactor.grow(toSegmentCount: segmentCount)
    adjustMemory()
    // Writers that wait for space have some now: the next turn lets them know.
    signal.raise()
    health.logger.notice(
      "the store has grown",
      metadata: [
        "bytes": "\(grown.geometry.deviceByteCount)", "segments": "\(segmentCount)",
      ])
  }
}
