// get: index → write buffer → cache → one read of the device → verify → decode → expired? Whatever
// fails to verify is looked up again first: a record that moved meanwhile is no damage.

import Logging
import Synchronization
import VarveFormat
import VarveIO

extension StoreCore {
  func withValue<Result>(
    for key: RawSpan, _ body: (RawSpan, UInt64) -> Result
  ) async throws(StoreError) -> Result? {
    let hash = KeyHash(of: key, keyedBy: hashKey)
    guard let record = try await fetch(hash: hash, key: key) else { return nil }
    return record.withBytes { _, value in body(value, record.sequence) }
  }

  func get(_ key: RawSpan) async throws(StoreError) -> VersionedValue? {
    try await fetch(hash: KeyHash(of: key, keyedBy: hashKey), key: key)?.versionedValue(clock)
  }

  func contains(_ key: RawSpan) async throws(StoreError) -> Bool {
    try requireOpen()
    let hash = KeyHash(of: key, keyedBy: hashKey)
    let location = RecordLocation(rawValue: index.find(hash))
    guard location != .none, !location.isTombstone, location.hasExpiry else {
      try requireUnsuspicious(sequence: nil)
      return location != .none && !location.isTombstone
    }
    return try await fetch(hash: hash, key: key) != nil
  }

  /// Which record a reader is after: that of a key, or whatever lies under a fingerprint.
  enum Target {
    case key(KeyHash)
    case fingerprint(UInt64, shard: Int)
  }

  func locate(_ target: Target) -> RecordLocation {
    switch target {
    case .key(let hash): RecordLocation(rawValue: index.find(hash))
    case .fingerprint(let fingerprint, let shard):
      RecordLocation(rawValue: index.find(inShard: shard, fingerprint: fingerprint))
    }
  }

  /// The current record of a key, or nil.
  func fetch(hash: KeyHash, key: RawSpan) async throws(StoreError) -> CachedRecord? {
    try requireOpen()
    counters.add(counters.gets)
    var lookup = Lookup(target: .key(hash))
    return try await search(&lookup, key: key)
  }

  /// A lookup under way.
  struct Lookup {
    let target: Target
    /// Where the last attempt found something wrong: wrong twice at one place is damage.
    var suspectLocation = RecordLocation.none
    /// The turn at the memory for reads that a wait has brought.
    var turn: ReadMemory.Turn?
  }

  /// Looks until the record is found, or found absent.
  func search(_ lookup: inout Lookup, key: RawSpan?) async throws(StoreError) -> CachedRecord? {
    while true {
      let answer: Answer
      switch try step(&lookup, key: key) {
      case .answer(let known):
        if IOExecutor.isYieldDue() { await IOExecutor.yield() }
        answer = known
      case .noRoom(let pageCount):
        let hasTurn = await reader.memory.wait(pageCount: pageCount, &lookup.turn)
        guard hasTurn else { throw .cancelledTask }
        continue
      case .submit(let read):
        device.submit(read)
        answer = try take(await read.wait(), read, &lookup, key: key)
      case .join(let read): answer = try take(await read.wait(), read, &lookup, key: key)
      }
      switch answer {
      case .found(let record): return record
      case .absent: return nil
      case .expired(let expiryMilliseconds):
        try await clock.record(through: expiryMilliseconds)
        return nil
      case .moved: continue
      }
    }
  }

  /// What a lookup came to.
  enum Answer {
    case found(CachedRecord)
    case absent
    /// The record has expired, which is no answer until the clock's mark says so durably.
    case expired(expiryMilliseconds: UInt64)
    /// The record has moved or been replaced: look again.
    case moved
  }

  enum Step {
    case answer(Answer)
    case noRoom(pageCount: Int)
    /// A new read, which the caller submits.
    case submit(RecordRead)
    /// A read that is in flight for somebody else, too.
    case join(RecordRead)
  }

  /// Everything that needs no device.
  func step(_ lookup: inout Lookup, key: RawSpan?) throws(StoreError) -> Step {
    var keepsTurn = false
    defer {
      if lookup.turn != nil, !keepsTurn {
        lookup.turn = nil
        reader.memory.pass()
      }
    }
    let location = locate(lookup.target)
    guard location != .none, !location.isTombstone else {
      // In an iteration a tombstone is no reason for suspicion: the key is simply not there.
      if case .key = lookup.target { try requireUnsuspicious(sequence: nil) }
      return .answer(.absent)
    }
    guard let segment = geometry.segment(containing: location.page) else {
      throw corrupt(location)
    }
    if segments.mayBeBuffered(location.page, in: segment),
      let record = try buffered(location)
    {
      counters.add(counters.bufferHits)
      return .answer(judge(try accept(record, at: location, key: key, &lookup)))
    }
    let generation = segments.generation(of: segment)
    if let record = cache.get(location.rawValue, generation: generation.rawValue) {
      counters.add(counters.cacheHits)
      return .answer(judge(try accept(record, at: location, key: key, &lookup)))
    }
    let target = lookup.target
    switch reader.read(
      at: location, lookup.turn, isStillCurrent: { locate(target) == location })
    {
    case .moved: return .answer(.moved)
    case .noRoom(let pageCount):
      keepsTurn = true
      return .noRoom(pageCount: pageCount)
    case .submit(let read): return .submit(read)
    case .join(let read): return .join(read)
    }
  }

  /// What a record means now; one without an expiry costs a comparison.
  private func judge(_ record: CachedRecord?) -> Answer {
    guard let record else { return .moved }
    guard record.expiry > 0 else { return .found(record) }
    switch clock.verdict(record.expiry) {
    case .live: return .found(record)
    case .expired: return .absent
    case .expiredUnrecorded: return .expired(expiryMilliseconds: record.expiry)
    }
  }

  private func buffered(_ location: RecordLocation) throws(StoreError) -> CachedRecord? {
    guard let extent = log.bufferedExtent(at: location) else { return nil }
    do throws(FormatError) {
      return try extent.withBytes { bytes throws(FormatError) in
        try RecordReader.decodeRecord(bytes, slot: location.slot)
      }
    } catch {
      throw corrupt(location)
    }
  }

  /// What a read brought.
  func take(
    _ result: ReadResult, _ read: RecordRead, _ lookup: inout Lookup, key: RawSpan?
  ) throws(StoreError) -> Answer {
    switch result {
    case .cancelled: throw .cancelledTask
    case .failed(let error):
      // A device that is closing refuses reads; that is no fault of the record.
      try requireOpen()
      guard isConfirmed(read.location, &lookup) else { return .moved }
      counters.add(counters.corruptReads)
      throw StoreError(
        .io, "the record cannot be read: \(error); other keys are unaffected",
        byteOffset: error.byteOffset)
    case .loaded(let buffer):
      let record: CachedRecord
      do throws(FormatError) {
        record = try buffer.withBytes(0..<buffer.byteCount) { bytes throws(FormatError) in
          try reader.decode(bytes, at: read.location, generation: read.generation)
        }
      } catch {
        guard isConfirmed(read.location, &lookup) else { return .moved }
        throw corrupt(read.location, lookup.target)
      }
      guard let accepted = try accept(record, at: read.location, key: key, &lookup) else {
        return .moved
      }
      cache.insert(
        accepted, locationWord: read.location.rawValue, generation: read.generation.rawValue)
      return judge(accepted)
    }
  }

  /// Whether something wrong at a location is so: the index still names it, on a second look too.
  private func isConfirmed(_ location: RecordLocation, _ lookup: inout Lookup) -> Bool {
    guard locate(lookup.target) == location else { return false }
    defer { lookup.suspectLocation = location }
    return lookup.suspectLocation == location
  }

  /// Checks that a record is the one meant; nil where it has been replaced meanwhile.
  private func accept(
    _ record: CachedRecord, at location: RecordLocation, key: RawSpan?, _ lookup: inout Lookup
  ) throws(StoreError) -> CachedRecord? {
    if let key, !record.withBytes({ found, _ in found.hasSameBytes(as: key) }) {
      guard isConfirmed(location, &lookup) else { return nil }
      throw StoreError(
        .hashCollision,
        "another key of \(record.keyByteCount) bytes has the same fingerprint as this one of "
          + "\(key.byteCount); choose another key")
    }
    if case .fingerprint(let fingerprint, _) = lookup.target,
      record.withBytes({ found, _ in KeyHash(of: found, keyedBy: hashKey).fingerprint })
        != fingerprint
    {
      // The segment has been used again since the index was asked.
      guard isConfirmed(location, &lookup) else { return nil }
      throw corrupt(location)
    }
    try requireUnsuspicious(sequence: record.sequence)
    return record
  }

  /// In a store with damage of unknown extent: throws where a newer version may have been lost.
  func requireUnsuspicious(sequence: UInt64?) throws(StoreError) {
    guard let suspect, !options.allowSuspectReads else { return }
    if let sequence, sequence >= suspect.ceiling.rawValue { return }
    throw StoreError(
      .suspect,
      "damage of the log may have taken a newer version of this key (below sequence "
        + "\(suspect.ceiling.rawValue)); `allowSuspectReads`, which `kvctl dump --allow-degraded` "
        + "sets, reads what is left")
  }

  /// An error that names the place and, where the caller cannot know the key, its digest.
  private func corrupt(_ location: RecordLocation, _ target: Target? = nil) -> StoreError {
    counters.add(counters.corruptReads)
    let byteOffset = location.page.rawValue * UInt64(Limits.pageByteCount)
    health.logger.error(
      "a record is damaged", metadata: ["byteOffset": "\(byteOffset)"])
    health.setDegraded()
    health.report(.corruptionFound(byteOffset: byteOffset))
    var owner = "this key's value"
    if case .fingerprint(let fingerprint, _) = target {
      let digits = String(fingerprint, radix: 16)
      let digest = String(repeating: "0", count: 16 - digits.count) + digits
      owner = "the value of the key with digest \(digest)"
    }
    return StoreError(
      .corrupt,
      "the page that holds \(owner) is damaged; other keys are unaffected. Writing or deleting "
        + "the key heals it", byteOffset: byteOffset)
  }
}

extension CachedRecord {
  /// The value, its sequence number and what is left of its time, copied.
  func versionedValue(_ clock: StoreClock) -> VersionedValue {
    let timeToLive = expiry > 0 ? clock.remaining(until: expiry) : nil
    return withBytes { _, value in
      VersionedValue(value: value.copied(), sequence: sequence, timeToLive: timeToLive)
    }
  }

  /// The record, copied.
  var record: Record {
    withBytes { key, value in
      Record(
        key: key.copied(), value: value.copied(), sequence: sequence,
        expiryMilliseconds: expiry > 0 ? expiry : nil)
    }
  }
}
