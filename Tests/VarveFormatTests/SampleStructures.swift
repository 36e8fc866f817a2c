import VarveFormat

// Random values of every structure, valid as writers write them.
extension Seeded {
  mutating func stream() -> StreamKind {
    StreamKind.allCases[below(StreamKind.allCases.count)]
  }

  mutating func checkpointReference() -> CheckpointReference? {
    flip()
      ? nil
      : CheckpointReference(
        identifier: 1 + magnitude(upTo: Limits.maximumCounter - 1), rootPage: PageIndex(next()),
        rootGeneration: generation())
  }

  mutating func superblock(_ geometry: Geometry = Sample.geometry()) -> Superblock {
    let alphabet = Array("abc–äß日 _7")
    var label = ""
    for _ in 0..<below(17) { label.append(alphabet[below(alphabet.count)]) }
    var superblock = Superblock(
      uuid: StoreUUID(low: next(), high: next()), geometry: geometry, hashKeyLow: next(),
      hashKeyHigh: next(), label: label, createdMilliseconds: next())
    superblock.version = magnitude(upTo: Limits.maximumCounter)
    superblock.features.compatible = flip() ? 0 : next()
    superblock.features.readOnlyCompatible = flip() ? 0 : next()
    superblock.shutdown = flip() ? .open : .clean
    superblock.sequenceCeiling = sequence()
    superblock.lastSequence = SequenceNumber(
      magnitude(upTo: superblock.sequenceCeiling.rawValue))
    superblock.lastFramePage = PageIndex(next())
    superblock.lastFrameChecksum = word32()
    superblock.clockMilliseconds = magnitude(upTo: Limits.maximumCounter)
    superblock.hasExpiries = flip()
    superblock.openCount = magnitude(upTo: UInt64(Limits.maximumGeneration))
    superblock.checkpoint = checkpointReference()
    superblock.previousCheckpoint = checkpointReference()
    superblock.cut =
      flip()
      ? nil
      : LogCut(
        segment: SegmentIndex(UInt32(below(Int(geometry.segmentCount)))),
        generation: generation(),
        pageCount: PageCount(UInt32(below(Int(geometry.segmentPageCount.rawValue) + 1))),
        openEpoch: max(1, word32()))
    return superblock
  }

  mutating func segmentHeader() -> SegmentHeader {
    SegmentHeader(
      stream: stream(), predecessor: SegmentIndex(word32()), predecessorGeneration: generation(),
      predecessorEndPageCount: PageCount(UInt32(below(Limits.maximumSegmentPageCount + 1))),
      predecessorFrameChecksum: word32(), firstSequence: sequence(),
      durableWatermark: sequence(),
      clockMilliseconds: magnitude(upTo: Limits.maximumCounter), openEpoch: word32())
  }

  mutating func frameHeader() -> FrameHeader {
    let isEmpty = below(4) == 0
    let first = isEmpty ? 0 : 1 + magnitude(upTo: Limits.maximumCounter - 1)
    let last = isEmpty ? 0 : min(Limits.maximumCounter, first + magnitude(upTo: 1 << 40))
    return FrameHeader(
      firstSequence: SequenceNumber(first), lastSequence: SequenceNumber(last),
      durableWatermark: sequence(), ordinal: word32(),
      pageCount: PageCount(UInt32(1 + below(Limits.maximumSegmentPageCount))),
      recordCount: isEmpty ? 0 : max(1, word32()), previousChecksum: word32(),
      extentsChecksum: word32(), stream: stream(),
      clockMilliseconds: magnitude(upTo: Limits.maximumCounter),
      openEpoch: word32())
  }

  /// A record whose key and value have at most so many bytes.
  mutating func record(
    keyBelow: Int, valueBelow: Int
  ) -> (header: RecordHeader, key: [UInt8], storedValue: [UInt8]) {
    let isTombstone = below(4) == 0
    let key = bytes(1 + below(keyBelow))
    let stored = isTombstone ? [] : bytes(below(valueBelow))
    let isCompressed = !stored.isEmpty && flip()
    let value =
      isCompressed
      ? min(
        Limits.maximumValueByteCount,
        stored.count + 1 + below(stored.count * (Limits.maximumExpansion - 1)))
      : stored.count
    let batch = flip() ? 0 : UInt32(1 + below(Limits.maximumBatchOperationCount))
    return (
      RecordHeader(
        sequence: recordSequence(), kind: isTombstone ? .tombstone : .put,
        isCompressed: isCompressed, keyByteCount: key.count, storedByteCount: stored.count,
        valueByteCount: value,
        keyspace: UInt16(truncatingIfNeeded: next()),
        expiryMilliseconds: flip() ? 0 : max(1, next()), batchRecordCount: batch,
        batchOrdinal: batch == 0 ? 0 : UInt32(below(Int(batch)))), key, stored
    )
  }

  mutating func keyHash() -> KeyHash {
    KeyHash(fingerprint: next(), selector: word32() >> 8)
  }

  mutating func location(hasExpiry: Bool = false) -> RecordLocation {
    let hint = flip() ? 0 : UInt8(below(256))
    return RecordLocation(
      page: PageIndex(1 + magnitude(upTo: Limits.maximumPageCount - 2)),
      slot: UInt8(below(256)), lengthHint: hint, sizeClass: hint == 0 ? UInt8(below(64)) : 0,
      isTombstone: flip(), hasExpiry: hasExpiry)
  }

  /// Entries that jump about as no writer's do.
  mutating func summaryEntries(_ count: Int) -> [SummaryEntry] {
    var entries: [SummaryEntry] = []
    for _ in 0..<count {
      let expiry = flip() ? 0 : max(1, next())
      var entry = SummaryEntry(
        hash: keyHash(), sequence: recordSequence(), location: location(hasExpiry: expiry > 0),
        expiryMilliseconds: expiry)
      if let last = entries.last {
        if flip() {
          entry.sequence = SequenceNumber(min(Limits.maximumCounter, last.sequence.rawValue + 1))
        }
        if flip() { entry.location = entry.location.moved(to: last.location.page) }
      }
      entries.append(entry)
    }
    return entries
  }

  mutating func segmentEntry() -> SegmentEntry {
    let state = [SegmentState.free, .open, .sealed][below(3)]
    return SegmentEntry(
      state: state, stream: stream(), hasSummary: flip(),
      generation: Generation(max(1, generation().rawValue)), predecessor: SegmentIndex(word32()),
      endPageCount: PageCount(UInt32(1 + below(Limits.maximumSegmentPageCount))))
  }

  mutating func tablePage() -> SegmentTablePage {
    SegmentTablePage(
      version: magnitude(upTo: Limits.maximumCounter), ordinal: word32(),
      entries: (0..<below(SegmentTablePage.entriesPerPage + 1)).map { _ in segmentEntry() })
  }

  mutating func checkpointEntries() -> [CheckpointEntry] {
    (0...below(CheckpointPage.entriesPerPage)).map { _ in
      CheckpointEntry(hash: keyHash(), location: location(hasExpiry: flip()))
    }
  }

  mutating func checkpointRoot() -> CheckpointRoot {
    CheckpointRoot(
      identifier: magnitude(upTo: Limits.maximumCounter), cutSequence: sequence(),
      replaySegment: SegmentIndex(word32()), replayGeneration: generation(),
      replayPageCount: PageCount(UInt32(below(Limits.maximumSegmentPageCount + 1))),
      entryCount: next(), pageCount: next(), selectorBitCount: UInt8(below(25)),
      pagesChecksum: word32(), segmentCount: word32())
  }
}

extension Sample {
  /// The pages of a summary of `entries`, sealed one after the other from `page` on.
  static func summary(_ entries: [SummaryEntry], _ facts: SummaryFacts? = nil) -> [[UInt8]] {
    var builder = SummaryBuilder()
    for entry in entries { builder.append(entry) }
    let facts =
      facts
      ?? SummaryFacts(
        recordCount: builder.recordCount, endPageCount: PageCount(5),
        summaryPageCount: builder.pageCount, lastFrameChecksum: 77,
        firstSequence: builder.firstSequence, lastSequence: builder.lastSequence, stream: .user)
    return (0..<Int(builder.pageCount.rawValue)).map { ordinal in
      Sample.pages {
        builder.copyPage(ordinal, into: &$0)
        SummaryPage.seal(
          &$0, facts: facts, ordinal: UInt32(ordinal), at: page, generation: generation,
          segment: segment, uuid: uuid, checksum: checksum)
      }
    }
  }

  /// A frame of one extent with the records.
  static func frame(
    _ records: [(header: RecordHeader, key: [UInt8], storedValue: [UInt8])], _ header: FrameHeader,
    pageCount: Int = 1
  ) -> [UInt8] {
    pages(pageCount) { span in
      var cursor = FrameHeader.payloadByteOffset
      for record in records {
        record.key.lend { key in
          record.storedValue.lend { value in
            record.header.encode(key: key, storedValue: value, into: &span, at: cursor)
          }
        }
        cursor += record.header.recordByteCount
      }
      header.encode(into: &span)
      seal(&span, .frameStart, recordCount: UInt16(records.count))
    }
  }
}
