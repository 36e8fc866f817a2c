// Many records at once: every read that is needed, and that there is memory for, is in flight
// before the first is awaited. For multi-gets and for iteration.

import VarveFormat
import VarveIO

extension StoreCore {
  /// The values of many keys.
  func multiGet(_ keys: [[UInt8]]) async throws(StoreError) -> [VersionedValue?] {
    try requireOpen()
    var results = [VersionedValue?](repeating: nil, count: keys.count)
    var failure: StoreError?
    var start = 0
    while start < keys.count {
      let group = keys[start..<min(start + StoreCore.multiGetReadCount, keys.count)]
      let lookups = group.map { key in
        // SAFETY: the bytes of an array of bytes have no padding.
        Lookup(target: .key(unsafe KeyHash(of: key.span.bytes, keyedBy: hashKey)))
      }
      counters.add(counters.gets, group.count)
      for (index, result) in await records(lookups, keys: group) {
        do throws(StoreError) {
          results[start + index] = try result.get()?.versionedValue
        } catch {
          failure = failure ?? error
        }
      }
      if let failure { throw failure }
      start += group.count
    }
    return results
  }

  /// Reads in flight for one multi-get.
  static let multiGetReadCount = 256

  /// The records under some fingerprints of a shard, for iteration: each a success or a failure of
  /// its own, so that a damaged one does not hide the others.
  func read(
    fingerprints: [UInt64], inShard shard: Int
  ) async -> [Result<Record, StoreError>] {
    let lookups = fingerprints.map { Lookup(target: .fingerprint($0, shard: shard)) }
    return await records(lookups, keys: nil).compactMap { _, result in
      switch result {
      case .success(let record): record.map { .success($0.record) }
      case .failure(let error): .failure(error)
      }
    }
  }

  /// What lookups find, in any order, each with its index. `keys` are those looked for, if known.
  private func records(
    _ lookups: [Lookup], keys: ArraySlice<[UInt8]>?
  ) async -> [(Int, Result<CachedRecord?, StoreError>)] {
    var results: [(Int, Result<CachedRecord?, StoreError>)] = []
    results.reserveCapacity(lookups.count)
    var next = 0
    while next < lookups.count {
      let lookedUp = next
      let again = await readTogether(lookups, keys, from: &next, &results)
      // Now that no read is held, these may wait for memory: a record that has moved meanwhile, or
      // the first where there was no memory at all.
      for index in again + (next == lookedUp ? [next] : []) {
        var lookup = lookups[index]
        let key = keys.map { $0[$0.startIndex + index] }
        do throws(StoreError) {
          // SAFETY: as above.
          results.append((index, .success(unsafe try await search(&lookup, key: key?.span.bytes))))
        } catch {
          results.append((index, .failure(error)))
        }
      }
      if next == lookedUp { next += 1 }
    }
    return results
  }

  /// A read that is awaited, and for which of the lookups.
  private struct PendingLookup {
    let index: Int
    var lookup: Lookup
    let read: RecordRead
  }

  /// Looks up all from `next` on that there is memory for.
  ///
  /// - Returns: the indices of lookups that have to begin again.
  private func readTogether(
    _ lookups: [Lookup], _ keys: ArraySlice<[UInt8]>?, from next: inout Int,
    _ results: inout [(Int, Result<CachedRecord?, StoreError>)]
  ) async -> [Int] {
    var pending: [PendingLookup] = []
    var submissions: [IORequest] = []
    var isYieldDue = false
    collecting: while next < lookups.count {
      if IOExecutor.isYieldDue() { isYieldDue = true }
      var lookup = lookups[next]
      let key = keys.map { $0[$0.startIndex + next] }
      do throws(StoreError) {
        // SAFETY: as above.
        switch unsafe try step(&lookup, key: key?.span.bytes) {
        case .found(let record): results.append((next, .success(record)))
        case .absent: results.append((next, .success(nil)))
        case .moved: continue
        case .noRoom: break collecting
        case .read(let read, let mustSubmit):
          if mustSubmit { submissions.append(read) }
          pending.append(PendingLookup(index: next, lookup: lookup, read: read))
        }
      } catch {
        results.append((next, .failure(error)))
      }
      next += 1
    }
    device.submit(contentsOf: submissions)
    if isYieldDue { await IOExecutor.yield() }
    var again: [Int] = []
    for var item in pending {
      let key = keys.map { $0[$0.startIndex + item.index] }
      do throws(StoreError) {
        let result = await item.read.wait()
        // SAFETY: as above.
        if let record = unsafe try take(result, item.read, &item.lookup, key: key?.span.bytes) {
          results.append((item.index, .success(record)))
        } else {
          again.append(item.index)
        }
      } catch {
        results.append((item.index, .failure(error)))
      }
    }
    return again
  }
}
