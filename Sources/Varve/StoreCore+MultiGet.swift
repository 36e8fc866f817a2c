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
    while start < keys.count, failure == nil {
      let group = keys[start..<min(start + StoreCore.multiGetReadCount, keys.count)]
      let lookups = group.map { key in
        // SAFETY: the bytes of an array of bytes have no padding.
        Lookup(target: .key(unsafe KeyHash(of: key.span.bytes, keyedBy: hashKey)))
      }
      counters.add(counters.gets, group.count)
      _ = await lookUp(lookups, keys: group, isEnough: { false }) { index, result in
        switch result {
        case .success(let record): results[start + index] = record?.versionedValue(clock)
        case .failure(let error): failure = failure ?? error
        }
      }
      start += group.count
    }
    if let failure { throw failure }
    return results
  }

  /// Reads in flight for one multi-get.
  static let multiGetReadCount = 256

  /// The records under some fingerprints of a shard, for iteration: each a success or a failure of
  /// its own, so that a damaged one does not hide the others.
  ///
  /// - Returns: what was found, and the fingerprints that were left when the records took as much
  ///   memory as reads may.
  func read(
    fingerprints: [UInt64], inShard shard: Int
  ) async -> (results: [Result<Record, StoreError>], left: [UInt64]) {
    let lookups = fingerprints.map { Lookup(target: .fingerprint($0, shard: shard)) }
    var results: [Result<Record, StoreError>] = []
    var byteCount = 0
    let left = await lookUp(
      lookups, keys: nil, isEnough: { byteCount >= reader.memory.byteLimit },
      deliver: { _, result in
        switch result {
        case .success(let record):
          guard let record = record?.record else { return }
          byteCount += record.key.count + record.value.count
          results.append(.success(record))
        case .failure(let error): results.append(.failure(error))
        }
      })
    return (results, left.map { fingerprints[$0] })
  }

  /// Looks up many; `deliver` is given what each finds, in any order. `keys` are those looked for,
  /// where they are known.
  ///
  /// - Returns: the indices of those that were left once there was enough.
  private func lookUp(
    _ lookups: [Lookup], keys: ArraySlice<[UInt8]>?, isEnough: () -> Bool,
    deliver: (Int, Result<CachedRecord?, StoreError>) -> Void
  ) async -> [Int] {
    var left: [Int] = []
    var next = 0
    while next < lookups.count, !isEnough() {
      let first = next
      var again = await readTogether(
        lookups, keys, from: &next, isEnough: isEnough, deliver: deliver, left: &left)
      // The first, where there was no memory at all.
      if next == first {
        again.append(next)
        next += 1
      }
      // Now that no read is held, these may wait for memory.
      for index in again {
        guard !isEnough() else {
          left.append(index)
          continue
        }
        var lookup = lookups[index]
        let key = keys.map { $0[$0.startIndex + index] }
        do throws(StoreError) {
          // SAFETY: the bytes of an array of bytes have no padding.
          deliver(index, .success(unsafe try await search(&lookup, key: key?.span.bytes)))
        } catch {
          deliver(index, .failure(error))
        }
      }
    }
    return left + (next..<lookups.count)
  }

  /// A read that is awaited, and for which of the lookups.
  private struct PendingLookup {
    let index: Int
    var lookup: Lookup
    let read: RecordRead
  }

  /// Delivers what a lookup came to.
  ///
  /// - Returns: whether it was an answer, and not a reason to begin again.
  private func give(
    _ answer: Answer, at index: Int,
    to deliver: (Int, Result<CachedRecord?, StoreError>) -> Void
  ) -> Bool {
    switch answer {
    case .found(let record): deliver(index, .success(record))
    case .absent: deliver(index, .success(nil))
    case .moved where PlantedBug.movedIsGone.isPlanted: deliver(index, .success(nil))
    // `search` may wait for the clock.
    case .expired, .moved: return false
    }
    return true
  }

  /// Looks up all from `next` on that there is memory for.
  ///
  /// - Returns: the indices of lookups that have to begin again, each by itself: what is wrong at a
  ///   place is believed on the second look only, and `search` remembers the first.
  private func readTogether(
    _ lookups: [Lookup], _ keys: ArraySlice<[UInt8]>?, from next: inout Int,
    isEnough: () -> Bool, deliver: (Int, Result<CachedRecord?, StoreError>) -> Void,
    left: inout [Int]
  ) async -> [Int] {
    var pending: [PendingLookup] = []
    var submissions: [IORequest] = []
    var again: [Int] = []
    var isYieldDue = false
    collecting: while next < lookups.count, !isEnough() {
      if IOExecutor.isYieldDue() { isYieldDue = true }
      var lookup = lookups[next]
      let key = keys.map { $0[$0.startIndex + next] }
      do throws(StoreError) {
        // SAFETY: the bytes of an array of bytes have no padding.
        switch unsafe try step(&lookup, key: key?.span.bytes) {
        case .answer(let answer):
          if !give(answer, at: next, to: deliver) { again.append(next) }
        case .noRoom: break collecting
        case .submit(let read):
          submissions.append(read)
          pending.append(PendingLookup(index: next, lookup: lookup, read: read))
        case .join(let read):
          pending.append(PendingLookup(index: next, lookup: lookup, read: read))
        }
      } catch {
        deliver(next, .failure(error))
      }
      next += 1
    }
    device.submit(contentsOf: submissions)
    if isYieldDue { await IOExecutor.yield() }
    for var item in pending {
      guard !isEnough() else {
        // Its read ends by itself.
        left.append(item.index)
        continue
      }
      let key = keys.map { $0[$0.startIndex + item.index] }
      do throws(StoreError) {
        let result = await item.read.wait()
        // SAFETY: as above.
        let answer = unsafe try take(result, item.read, &item.lookup, key: key?.span.bytes)
        if !give(answer, at: item.index, to: deliver) { again.append(item.index) }
      } catch {
        deliver(item.index, .failure(error))
      }
    }
    return again
  }
}
