// Batches: every condition is read first, then all are checked again and all records appended under
// one hold of the log's lock, into one frame. A frame is valid as a whole or not at all, so the
// batch survives as a whole or not at all.

import Synchronization
import VarveFormat

extension StoreCore {
  func write(
    _ batch: Batch, durability: Durability
  ) async throws(StoreError) -> BatchOutcome {
    try requireWritable()
    var prepared = try await prepare(batch)
    guard !batch.isEmpty else { return .applied(lastSequence: log.lastSequence.rawValue) }
    while true {
      if Task.isCancelled { throw .cancelledTask }
      var expected: [(index: Int, record: ExpectedRecord)] = []
      for (index, operation) in batch.operations.enumerated()
      where operation.condition != .always || operation.expiry == .keep {
        // SAFETY: the bytes of an array of bytes have no padding.
        let current = unsafe try await currentRecord(
          hash: prepared.records[index].hash, key: operation.key.span.bytes,
          forExpiryAlone: operation.condition == .always)
        guard holds(operation.condition, for: current) else {
          if let error = await settleRecord(
            at: current.expected.place.location, level: durability)
          {
            throw error
          }
          return .refused(operationIndex: index)
        }
        expected.append((index, current.expected))
        if operation.expiry == .keep {
          prepared.records[index].header.expiryMilliseconds = current.expiryMilliseconds
        }
      }
      switch await attempt(batch, prepared, expected: expected, durability: durability) {
      case .acknowledged(let sequence):
        counters.add(counters.batches)
        counters.add(counters.userBytes, prepared.userByteCount)
        return .applied(lastSequence: sequence.rawValue)
      case .failed(let error): throw error
      case .mustWait(let reason):
        prepared.records[0].hasWaited = try await waitForSpace(reason)
      case .changed: continue
      case .nothingToDelete: return .applied(lastSequence: log.lastSequence.rawValue)
      }
    }
  }

  private struct PreparedBatch {
    var records: [PreparedRecord]
    var storedValues: [[UInt8]]
    var userByteCount: Int
    /// Whether a record brings an expiry of its own.
    var hasExpiries = false
  }

  /// Checks the limits, hashes the keys and compresses the values.
  private func prepare(_ batch: Batch) async throws(StoreError) -> PreparedBatch {
    guard batch.count <= Limits.maximumBatchOperationCount else {
      throw StoreError(
        .tooLarge,
        "a batch has at most \(Limits.maximumBatchOperationCount) operations, not \(batch.count)")
    }
    var prepared = PreparedBatch(records: [], storedValues: [], userByteCount: 0)
    var layout = FrameLayout()
    for (ordinal, operation) in batch.operations.enumerated() {
      let value = operation.value ?? []
      // SAFETY: the bytes of an array of bytes have no padding.
      try unsafe checkLimits(key: operation.key.span.bytes, valueByteCount: value.count)
      let expiry = try clock.moment(of: operation.expiry)
      let stored = options.compression ? compressed(value) : nil
      var header = RecordHeader(
        sequence: .zero, kind: operation.value == nil ? .tombstone : .put,
        isCompressed: stored != nil, keyByteCount: operation.key.count,
        storedByteCount: (stored ?? value).count, valueByteCount: value.count,
        // That of a record that is kept comes later, and takes the same room.
        expiryMilliseconds: operation.expiry == .keep ? 1 : expiry,
        batchRecordCount: UInt32(batch.count),
        batchOrdinal: UInt32(ordinal))
      _ = layout.place(header.recordByteCount)
      header.expiryMilliseconds = expiry
      prepared.hasExpiries = prepared.hasExpiries || expiry > 0
      prepared.records.append(
        PreparedRecord(
          hash: unsafe KeyHash(of: operation.key.span.bytes, keyedBy: hashKey), header: header))
      prepared.storedValues.append(stored ?? value)
      prepared.userByteCount += operation.key.count + value.count
    }
    guard prepared.userByteCount <= geometry.maximumBatchByteCount,
      layout.pageCount <= Int(geometry.maximumExtentPageCount.rawValue) / 2 + 1,
      OpenSegment.canHold(
        pageCount: layout.pageCount, recordCount: batch.count, in: geometry)
    else {
      throw StoreError(
        .tooLarge,
        "a batch of this store has at most \(geometry.maximumBatchByteCount) bytes of keys and "
          + "values, and fits half a segment: split it")
    }
    // DURABILITY: as for a put, before the first record with an expiry.
    if prepared.hasExpiries { try await clock.allowExpiries() }
    return prepared
  }

  private func compressed(_ value: [UInt8]) -> [UInt8]? {
    guard value.count >= ValueCodec.minimumByteCount else { return nil }
    var output = [UInt8](repeating: 0, count: ValueCodec.worthwhileByteCount(value.count))
    var span = output.mutableSpan
    // SAFETY: the bytes of an array of bytes have no padding.
    var bytes = unsafe span.mutableBytes
    guard let byteCount = unsafe ValueCodec.compress(value.span.bytes, into: &bytes) else {
      return nil
    }
    output.removeSubrange(byteCount...)
    return output
  }

  private func attempt(
    _ batch: Batch, _ prepared: PreparedBatch,
    expected: [(index: Int, record: ExpectedRecord)], durability: Durability
  ) async -> Attempt {
    var outcome = Attempt.changed
    let error: StoreError? = await suspend { waiter in
      log.withLog { state, actions in
        let isUnchanged = expected.allSatisfy {
          let location = RecordLocation(rawValue: index.find(prepared.records[$0.index].hash))
          return log.isStill($0.record, at: location)
        }
        let result =
          isUnchanged
          ? log.append(
            prepared.records, operations: batch.operations, storedValues: prepared.storedValues,
            level: durability, &state, &actions) : .changed
        outcome = log.wait(for: result, waiter, durability, &state, &actions)
      }
    }
    if let error { return .failed(error) }
    return outcome
  }
}
