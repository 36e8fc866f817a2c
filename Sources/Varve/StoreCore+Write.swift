// put: check the limits, hash, compress, append to the log (which publishes the record), wait for
// the level asked for. Nothing is read, except where a condition asks for the current record.

import Synchronization
import VarveFormat

extension StoreCore {
  func put(
    _ key: RawSpan, _ value: RawSpan, expiry: Expiry, durability: Durability
  ) async throws(StoreError) -> UInt64 {
    try requireWritable()
    try checkLimits(key: key, valueByteCount: value.byteCount)
    if expiry == .keep { return try await putKeeping(key, value, durability: durability) }
    let expiryMilliseconds = try await prepare(expiry)
    if Task.isCancelled { throw .cancelledTask }
    let hash = KeyHash(of: key, keyedBy: hashKey)
    var hasWaited = false
    while true {
      let attempt = await attempt(
        hash: hash, key: key, value: value, expiryMilliseconds: expiryMilliseconds, expected: nil,
        hasWaited: hasWaited, durability: durability)
      switch attempt {
      case .acknowledged(let sequence):
        counters.add(counters.puts)
        counters.add(counters.userBytes, key.byteCount + value.byteCount)
        await yieldNowAndThen(sequence, durability)
        return sequence.rawValue
      case .failed(let error): throw error
      case .mustWait(let reason): hasWaited = try await waitForSpace(reason)
      case .nothingToDelete, .changed: preconditionFailure("a blind put has no condition")
      }
    }
  }

  /// A put that depends on the current record by its expiry alone.
  private func putKeeping(
    _ key: RawSpan, _ value: RawSpan, durability: Durability
  ) async throws(StoreError) -> UInt64 {
    switch try await write(
      key: key, value: value, condition: .always, expiry: .keep, durability: durability)
    {
    case .applied(let sequence): return sequence
    case .refused: preconditionFailure("a put without a condition is applied")
    }
  }

  /// The moment at which a record will expire; 0 is never.
  ///
  /// DURABILITY: before the first record of the store that has one, the superblock says durably
  /// that there may be some: an open that did not know would believe any wall clock.
  func prepare(_ expiry: Expiry) async throws(StoreError) -> UInt64 {
    if expiry == .never { return 0 }
    let milliseconds = try clock.moment(of: expiry)
    if milliseconds > 0 { try await clock.allowExpiries() }
    return milliseconds
  }

  /// A task that puts without ever suspending would keep its thread from all others: now and then
  /// it lets them go first.
  private func yieldNowAndThen(_ sequence: SequenceNumber, _ durability: Durability) async {
    if durability == .buffered, sequence.rawValue % 1024 == 0 { await Task.yield() }
  }

  func delete(
    _ key: RawSpan, durability: Durability
  ) async throws(StoreError) -> UInt64? {
    try requireWritable()
    try checkLimits(key: key, valueByteCount: 0)
    if Task.isCancelled { throw .cancelledTask }
    let hash = KeyHash(of: key, keyedBy: hashKey)
    if RecordLocation(rawValue: index.find(hash)).hasExpiry,
      try await hasExpired(hash: hash, key: key, durability: durability)
    {
      return nil
    }
    var hasWaited = false
    while true {
      switch await attempt(
        hash: hash, key: key, value: nil, expiryMilliseconds: 0, expected: nil,
        hasWaited: hasWaited, durability: durability)
      {
      case .acknowledged(let sequence):
        counters.add(counters.deletes)
        counters.add(counters.userBytes, key.byteCount)
        await yieldNowAndThen(sequence, durability)
        return sequence.rawValue
      case .nothingToDelete: return nil
      case .failed(let error): throw error
      case .mustWait(let reason): hasWaited = try await waitForSpace(reason)
      case .changed: preconditionFailure("a blind delete has no condition")
      }
    }
  }

  /// Whether the key's record has expired: then it is a tombstone already, and needs only to be as
  /// durable as was asked. A record that cannot be read says nothing: a delete heals it.
  private func hasExpired(
    hash: KeyHash, key: RawSpan, durability: Durability
  ) async throws(StoreError) -> Bool {
    let current: CurrentRecord
    do throws(StoreError) {
      current = try await currentRecord(hash: hash, key: key)
    } catch {
      guard [.corrupt, .io, .hashCollision].contains(error.code) else { throw error }
      return false
    }
    guard current.sequence == nil else { return false }
    if let error = await settleRecord(at: current.expected.place.location, level: durability) {
      throw error
    }
    return true
  }

  /// A put or, with a nil value, a delete, if the condition holds.
  func write(
    key: RawSpan, value: RawSpan?, condition: WriteCondition, expiry: Expiry,
    durability: Durability
  ) async throws(StoreError) -> WriteOutcome {
    if condition == .always, expiry != .keep {
      guard let value else {
        return try await delete(key, durability: durability).map { .applied(sequence: $0) }
          ?? .refused(currentSequence: nil)
      }
      return .applied(
        sequence: try await put(key, value, expiry: expiry, durability: durability))
    }
    try requireWritable()
    try checkLimits(key: key, valueByteCount: value?.byteCount ?? 0)
    let expiryMilliseconds = try await prepare(expiry)
    let hash = KeyHash(of: key, keyedBy: hashKey)
    var hasWaited = false
    while true {
      if Task.isCancelled { throw .cancelledTask }
      let current = try await currentRecord(
        hash: hash, key: key, forExpiryAlone: condition == .always)
      guard holds(condition, for: current), value != nil || current.sequence != nil else {
        if let error = await settleRecord(
          at: current.expected.place.location, level: durability)
        {
          throw error
        }
        return .refused(currentSequence: current.sequence)
      }
      let attempt = await attempt(
        hash: hash, key: key, value: value,
        expiryMilliseconds: expiry == .keep ? current.expiryMilliseconds : expiryMilliseconds,
        expected: current.expected, hasWaited: hasWaited, durability: durability)
      switch attempt {
      case .acknowledged(let sequence):
        if value == nil { counters.add(counters.deletes) } else { counters.add(counters.puts) }
        counters.add(counters.userBytes, key.byteCount + (value?.byteCount ?? 0))
        return .applied(sequence: sequence.rawValue)
      case .failed(let error): throw error
      case .mustWait(let reason): hasWaited = try await waitForSpace(reason)
      case .changed, .nothingToDelete: continue
      }
    }
  }

  /// The current record of a key, for a condition.
  struct CurrentRecord {
    /// What the index names, and until when: compared again under the log's lock.
    var expected: ExpectedRecord
    /// nil where the key has no value: no record, a tombstone, or one that has expired.
    var sequence: UInt64?

    /// When the record expires; 0 where it does not, or there is none.
    var expiryMilliseconds: UInt64 { expected.liveUntilMilliseconds }

    init(place: RecordPlace, record: CachedRecord? = nil) {
      expected = ExpectedRecord(place: place, liveUntilMilliseconds: record?.expiry ?? 0)
      sequence = record?.sequence
    }
  }

  /// Finds the current record of a key. Where only its expiry matters and the index says that it
  /// has none, nothing is read, and its sequence number stays unknown.
  func currentRecord(
    hash: KeyHash, key: RawSpan, forExpiryAlone: Bool = false
  ) async throws(StoreError) -> CurrentRecord {
    while true {
      let location = RecordLocation(rawValue: index.find(hash))
      let place = log.place(of: location)
      if location == .none || location.isTombstone {
        try requireUnsuspicious(sequence: nil)
        return CurrentRecord(place: place)
      }
      if forExpiryAlone, !location.hasExpiry { return CurrentRecord(place: place) }
      let record = try await fetch(hash: hash, key: key)
      // A record that is replaced while it is read says nothing about the one in its place.
      guard log.place(of: RecordLocation(rawValue: index.find(hash))) == place else { continue }
      return CurrentRecord(place: place, record: record)
    }
  }

  func holds(_ condition: WriteCondition, for current: CurrentRecord) -> Bool {
    switch condition {
    case .always: true
    case .ifAbsent: current.sequence == nil
    case .ifSequence(let sequence): current.sequence == sequence
    }
  }

  /// Waits until the record in the way of a write has the level that the write asked for.
  func settleRecord(at location: RecordLocation, level: Durability) async -> StoreError? {
    guard level > .buffered, location != .none else { return nil }
    return await suspend { waiter in
      log.withLog { state, actions in
        if let frame = state.frames.last(where: { $0.contains(location.page) }) {
          log.register(waiter, for: frame, level: level, &state, &actions)
        } else {
          actions.resumptions.append((waiter, nil))
        }
      }
    }
  }

  enum Attempt {
    case acknowledged(SequenceNumber)
    case nothingToDelete
    case mustWait(WaitReason)
    case changed
    case failed(StoreError)
  }

  /// Appends a record and waits for its frame, where the level asks for that.
  private func attempt(
    hash: KeyHash, key: RawSpan, value: RawSpan?, expiryMilliseconds: UInt64,
    expected: ExpectedRecord?, hasWaited: Bool, durability: Durability
  ) async -> Attempt {
    // The index line comes into this CPU's cache before the log's lock is taken.
    _ = index.find(hash)
    guard durability > .buffered else {
      return append(
        hash: hash, key: key, value: value, expiryMilliseconds: expiryMilliseconds,
        expected: expected, hasWaited: hasWaited, durability: durability
      ) { result, _, _ in StoreCore.attempt(result) }
    }
    var outcome = Attempt.changed
    let error: StoreError? = await suspend { waiter in
      outcome = append(
        hash: hash, key: key, value: value, expiryMilliseconds: expiryMilliseconds,
        expected: expected, hasWaited: hasWaited, durability: durability
      ) { result, state, actions in
        log.wait(for: result, waiter, durability, &state, &actions)
      }
    }
    if let error { return .failed(error) }
    return outcome
  }

  /// Compresses the value and appends the record under the log's lock.
  private func append(
    hash: KeyHash, key: RawSpan, value: RawSpan?, expiryMilliseconds: UInt64,
    expected: ExpectedRecord?, hasWaited: Bool, durability: Durability,
    then body: (AppendResult, inout LogState, inout LogActions) -> Attempt
  ) -> Attempt {
    withStored(value) { stored, valueByteCount, isCompressed in
      let record = PreparedRecord(
        hash: hash,
        header: RecordHeader(
          sequence: .zero, kind: value == nil ? .tombstone : .put, isCompressed: isCompressed,
          keyByteCount: key.byteCount, storedByteCount: stored.byteCount,
          valueByteCount: valueByteCount, expiryMilliseconds: expiryMilliseconds),
        hasWaited: hasWaited)
      return log.withLog { state, actions in
        let result = log.append(
          record, key: key, storedValue: stored, expected: expected, level: durability, &state,
          &actions)
        return body(result, &state, &actions)
      }
    }
  }

  /// What an append came to, where nobody waits for its frame.
  static func attempt(_ result: AppendResult) -> Attempt {
    switch result {
    case .appended(_, let sequence): .acknowledged(sequence)
    case .nothingToDelete: .nothingToDelete
    case .mustWait(let reason): .mustWait(reason)
    case .changed: .changed
    case .failed(let error): .failed(error)
    }
  }

  /// Lends a value as it is stored: as an LZ4 block where that saves enough.
  private func withStored<Result>(
    _ value: RawSpan?,
    _ body: (_ stored: RawSpan, _ valueByteCount: Int, _ isCompressed: Bool) -> Result
  ) -> Result {
    guard let value else { return body(RawSpan(), 0, false) }
    guard options.compression, value.byteCount >= ValueCodec.minimumByteCount else {
      return body(value, value.byteCount, false)
    }
    let capacity = ValueCodec.worthwhileByteCount(value.byteCount)
    return unsafe withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 16) { scratch in
      // SAFETY: the scratch memory lives as long as this closure, and LZ4 only writes to it.
      var output = unsafe MutableRawSpan(_unsafeBytes: scratch)
      guard let byteCount = ValueCodec.compress(value, into: &output) else {
        return body(value, value.byteCount, false)
      }
      return body(output.bytes.extracting(0..<byteCount), value.byteCount, true)
    }
  }

  /// - Returns: whether it was compaction that the writer has waited for.
  func waitForSpace(_ reason: WaitReason) async throws(StoreError) -> Bool {
    if let error = await log.waitForSpace(reason) { throw error }
    // Still not queued: a write honours cancellation up to here.
    if Task.isCancelled { throw .cancelledTask }
    if case .credit = reason { return true }
    return false
  }

  func checkLimits(key: RawSpan, valueByteCount: Int) throws(StoreError) {
    guard key.byteCount >= 1 else {
      throw StoreError(
        .tooLarge,
        "the key is empty: a key has 1 to \(Limits.maximumKeyByteCount) bytes")
    }
    guard key.byteCount <= Limits.maximumKeyByteCount else {
      throw StoreError(
        .tooLarge,
        "a key has 1 to \(Limits.maximumKeyByteCount) bytes, not \(key.byteCount): shorten it, or "
          + "store under a digest of it")
    }
    guard valueByteCount <= geometry.maximumValueByteCount else {
      throw StoreError(
        .tooLarge,
        "a value of this store has at most \(geometry.maximumValueByteCount) bytes, not "
          + "\(valueByteCount): split it, or use a store with larger segments")
    }
  }
}

extension LogAppender {
  /// Registers the writer for what its append came to; a writer that has nothing to wait for is
  /// resumed at once.
  func wait(
    for result: AppendResult, _ waiter: WriteWaiter, _ level: Durability,
    _ state: inout LogState, _ actions: inout LogActions
  ) -> StoreCore.Attempt {
    switch result {
    case .appended(let frame, _), .nothingToDelete(.some(let frame)):
      register(waiter, for: frame, level: level, &state, &actions)
    case .nothingToDelete(nil), .mustWait, .changed, .failed:
      actions.resumptions.append((waiter, nil))
    }
    return StoreCore.attempt(result)
  }
}
