// Replays the user log over the index and judges its end.
//
// The rules (DESIGN.md, "Torn tail or damage"):
// - What each segment is stands in the table. Sealed segments are whole by promise: what is bad in
//   them is damage. Open ones end where their chain of frames ends.
// - A chain that ends early is a torn tail if nothing that survives says otherwise, and damage if
//   a later frame's watermark, a later sealed segment, a checkpoint or a clean shutdown shows that
//   something behind the end had been flushed.

import VarveFormat
import VarveIO

/// What the replay found.
struct UserLogReplay {
  /// Segments of the user stream in the order of the log.
  var order: [SegmentIndex] = []
  /// Open segments whose frames count, in order: the last is where the log goes on, if
  /// `endsInOpenSegment`.
  var openScans: [SegmentScan] = []
  /// Whether the last segment that counts is open. A failed write seals its segment at once, so
  /// that a sealed segment may follow an open one.
  var endsInOpenSegment = false
  /// Open segments without a frame that counts: they are freed, the last one first.
  ///
  /// DURABILITY: those with frames come behind those without. Were the predecessor of such a
  /// segment freed before it, a second recovery would take the frames for the continuation of a
  /// log whose older part had been freed, and bring back what the first one dropped.
  var emptySegments: [SegmentIndex] = []
  var lastSequence = SequenceNumber.zero
  /// The highest sequence number in each segment that was replayed.
  var lastSequences: [SegmentIndex: SequenceNumber] = [:]
  /// The lowest one in each segment, as far as known.
  var firstSequences: [SegmentIndex: SequenceNumber] = [:]
  var clockMilliseconds: UInt64 = 0
  var suspect: SuspectRange?
}

/// Replays the user log.
struct UserLogRecovery {
  let device: any BlockDevice
  let superblock: Superblock
  let table: SegmentTable
  let checkpoint: LoadedCheckpoint?
  let hashKey: HashKey
  let progress: (Int) -> Void

  private var geometry: Geometry { superblock.geometry }
  private var checksum: Checksum { Checksum(uuid: superblock.uuid) }

  /// A segment and where it stands in the log.
  private struct Place {
    var segment: SegmentIndex
    var entry: SegmentEntry
    /// nil where the header page is not valid.
    var header: SegmentHeader?
    /// The highest number of all where it is not known.
    var firstSequence: SequenceNumber
    /// What an open segment holds.
    var scan: SegmentScan?

    static let unknown = SequenceNumber(UInt64.max)
    /// Whether it is known where it stands.
    var hasPlace: Bool { firstSequence != Place.unknown }
  }

  /// Where the replay stands among the open segments.
  private struct Progress {
    /// Whether something is missing between the last segment that counts and what follows.
    var hasGap = false
    /// The last open segment with frames.
    var previous: SegmentScan?
    /// What is known to have been flushed: the highest sequence number that any witness names.
    var evidence = SequenceNumber.zero
    /// Up to here nothing can be missing: segment headers name their predecessors, and those are
    /// whole or were freed, so what they held has been superseded.
    var accounted = SequenceNumber.zero
  }

  func replay(
    into index: inout RecoveredIndex, report: inout RecoveryReport
  ) async throws(StoreError) -> UserLogReplay {
    var result = UserLogReplay()
    var progress = Progress()
    if let checkpoint {
      progress.evidence = checkpoint.root.cutSequence
      result.lastSequence = checkpoint.root.cutSequence
    }
    let places = await scanOpen(await places(), &report)
    result.order = places.map(\.segment)
    for place in places where place.hasPlace {
      result.firstSequences[place.segment] = place.firstSequence
    }
    let scans = places.compactMap(\.scan)
    for scan in scans {
      progress.evidence = max(progress.evidence, witnessed(by: scan, among: scans))
    }
    // DURABILITY: in the order of the log, whatever the table calls a segment: a failed write seals
    // the segment in which it lay while those before it still wait to be sealed.
    var summaries: [SegmentIndex: SegmentSummary] = [:]
    var windowEnd = 0
    for (position, place) in places.enumerated() {
      if position >= windowEnd {
        windowEnd = min(position + summaryWindowCount, places.count)
        summaries = await self.summaries(of: places[position..<windowEnd])
      }
      if var scan = place.scan {
        if !scan.keepsRecords {
          scan = await scanner.scan(
            place.segment, generation: place.entry.generation, endPage: nil)
        }
        try applyOpen(
          scan, before: places[(position + 1)...], &progress, into: &index, &result, &report)
      } else {
        // A segment is sealed after a flush of all before it: what is missing there is damage.
        if progress.hasGap { noteLoss(place.firstSequence, &result, &report) }
        progress.hasGap = false
        try await replaySealed(
          place, summaries[place.segment], before: places[(position + 1)...], into: &index,
          &result, &report)
      }
    }
    if progress.evidence > max(result.lastSequence, progress.accounted) {
      noteLoss(SequenceNumber(progress.evidence.rawValue + 1), &result, &report)
      result.lastSequence = progress.evidence
    }
    let lastSegment = places.last { $0.scan == nil || !isEmpty($0.segment, result) }?.segment
    result.endsInOpenSegment = lastSegment == result.openScans.last?.segment && lastSegment != nil
    judgeCleanEnd(&result, &report)
    result.order.removeAll { result.emptySegments.contains($0) }
    return result
  }

  /// Records of open segments kept from the first look to the second, some 3 MiB.
  static let keptRecordCount = 1 << 16

  private func isEmpty(_ segment: SegmentIndex, _ result: UserLogReplay) -> Bool {
    result.emptySegments.contains(segment)
  }

  /// Requests that recovery has in flight while it reads single pages.
  static let concurrentReadCount = 64
  /// What the summaries that are read at once may come to in memory.
  static let summaryByteLimit = 64 << 20

  /// All segments of the user stream, oldest first.
  private func places() async -> [Place] {
    let used = table.entries.filter { $0.entry.state != .free && $0.entry.stream == .user }
    var places: [Place] = []
    for start in stride(from: 0, to: used.count, by: UserLogRecovery.concurrentReadCount) {
      let chunk = used[start..<min(start + UserLogRecovery.concurrentReadCount, used.count)]
      let reader = reader
      await withTaskGroup(of: Place.self) { group in
        for (segment, entry) in chunk {
          group.addTask { await UserLogRecovery.place(of: segment, entry, reader) }
        }
        for await place in group { places.append(place) }
      }
    }
    for position in places.indices where !places[position].hasPlace {
      guard places[position].entry.state == .sealed else { continue }
      if let first = await firstSequence(ofLost: places[position], among: places) {
        places[position].firstSequence = first
      }
    }
    return inOrder(places)
  }

  /// Where a sealed segment without header and summary stood in the log: before the one whose
  /// header names it, or where a frame that is left in it says.
  private func firstSequence(
    ofLost place: Place, among places: [Place]
  ) async -> SequenceNumber? {
    let next = places.first {
      $0.header?.predecessor == place.segment
        && $0.header?.predecessorGeneration == place.entry.generation
    }
    if let next { return next.firstSequence }
    let scan = await scanner.scan(
      place.segment, generation: place.entry.generation,
      endPage: Int(place.entry.endPageCount.rawValue))
    return scan.leftovers.frames.first { $0.header.recordCount > 0 }?.header.firstSequence
  }

  private static func place(
    of segment: SegmentIndex, _ entry: SegmentEntry, _ reader: SegmentReader
  ) async -> Place {
    let header = await reader.header(of: segment, entry: entry)
    var first = header?.firstSequence
    if first == nil, entry.state == .sealed {
      first = await reader.facts(of: segment, entry: entry)?.firstSequence
    }
    return Place(
      segment: segment, entry: entry, header: header,
      firstSequence: first ?? Place.unknown)
  }

  /// How many summaries may be read at once: a segment holds at most a record for each 32 bytes,
  /// and a record takes 48 bytes of memory.
  private var summaryWindowCount: Int {
    max(1, min(16, UserLogRecovery.summaryByteLimit / (geometry.segmentByteCount / 32 * 48)))
  }

  /// Reads the summaries of sealed segments together.
  private func summaries(of places: ArraySlice<Place>) async -> [SegmentIndex: SegmentSummary] {
    let reader = reader
    let wanted = places.filter {
      $0.entry.state == .sealed && $0.entry.hasSummary && !isCovered($0)
    }
    return await withTaskGroup(of: (SegmentIndex, SegmentSummary?).self) { group in
      for place in wanted {
        let (segment, entry) = (place.segment, place.entry)
        group.addTask { (segment, await reader.summary(of: segment, entry: entry)) }
      }
      return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
  }

  /// Sorts segments by their first sequence number. A segment without a record shares it with the
  /// next one: such neighbours follow the chain of predecessors.
  private func inOrder(_ places: [Place]) -> [Place] {
    var rest = places.sorted {
      ($0.firstSequence, $0.segment.rawValue) < ($1.firstSequence, $1.segment.rawValue)
    }[...]
    var ordered: [Place] = []
    while let first = rest.first {
      let equals = rest.prefix { $0.firstSequence == first.firstSequence }
      let next =
        equals.firstIndex { place in
          !equals.contains { other in
            place.header?.predecessor == other.segment
              && place.header?.predecessorGeneration == other.entry.generation
          }
        } ?? rest.startIndex
      ordered.append(rest.remove(at: next))
    }
    return ordered
  }

  private var reader: SegmentReader {
    SegmentReader(device: device, geometry: geometry, uuid: superblock.uuid, hashKey: hashKey)
  }

  /// Whether the checkpoint already has everything in a sealed segment.
  private func isCovered(_ place: Place) -> Bool {
    guard let checkpoint else { return false }
    let generation = checkpoint.generations[Int(place.segment.rawValue)]
    return generation == place.entry.generation && checkpoint.root.replaySegment != place.segment
      && place.firstSequence <= checkpoint.root.cutSequence
  }

  private func replaySealed(
    _ place: Place, _ summary: SegmentSummary?, before later: ArraySlice<Place>,
    into index: inout RecoveredIndex, _ result: inout UserLogReplay,
    _ report: inout RecoveryReport
  ) async throws(StoreError) {
    if isCovered(place) { return }
    var records: [SummaryEntry]?
    if let summary {
      records = summary.records
      report.summaryRecordCount += summary.records.count
      let pages = 2 + Int(summary.facts.summaryPageCount.rawValue)
      report.readByteCount += UInt64(pages * Limits.pageByteCount)
    } else {
      records = await framesOfSealed(place, before: later, &result, &report)
    }
    guard let records else { return }
    let newRecords = records.filter { isBehindCheckpoint($0, in: place.segment) }
    try index.apply(newRecords)
    let last = records.last?.sequence ?? .zero
    result.lastSequences[place.segment] = last
    result.lastSequence = max(result.lastSequence, last)
    progress(geometry.segmentByteCount)
  }

  /// Whether a record lies behind the place where the checkpoint begins to be completed.
  ///
  /// DURABILITY: a segment that was in use when the checkpoint began, other than the one in which
  /// it began, lies before it as a whole, also one that was finished and not yet sealed: applied
  /// over the checkpoint, its records would roll back keys that the checkpoint knows better.
  private func isBehindCheckpoint(_ record: SummaryEntry, in segment: SegmentIndex) -> Bool {
    guard let checkpoint else { return true }
    let root = checkpoint.root
    let generation = table[segment].generation
    guard root.replaySegment == segment, root.replayGeneration == generation else {
      return checkpoint.generations[Int(segment.rawValue)] != generation
    }
    let first = geometry.firstPage(of: segment).rawValue
    return record.location.page.rawValue >= first + UInt64(root.replayPageCount.rawValue)
  }

  /// The frames of a sealed segment without a summary. What cannot be read is damage, and where
  /// nothing names what was in it, everything older is suspect.
  private func framesOfSealed(
    _ place: Place, before later: ArraySlice<Place>, _ result: inout UserLogReplay,
    _ report: inout RecoveryReport
  ) async -> [SummaryEntry]? {
    let endPage = Int(place.entry.endPageCount.rawValue)
    let scan = await scanner.scan(
      place.segment, generation: place.entry.generation, endPage: endPage)
    report.readByteCount += UInt64(scan.readPageCount * Limits.pageByteCount)
    report.frameRecordCount += scan.records.count
    result.clockMilliseconds = max(result.clockMilliseconds, scan.clockMilliseconds)
    if scan.endPage == endPage {
      if place.entry.hasSummary {
        report.findings.append(
          "segment \(place.segment.rawValue): both copies of its summary are damaged; its "
            + "records were read from its frames instead, nothing is lost")
      }
      return scan.records
    }
    let next = place.hasPlace ? later.first { $0.hasPlace } : nil
    let ceiling = next?.firstSequence ?? superblock.sequenceCeiling
    result.suspect = SuspectRange(ceiling: max(ceiling, result.suspect?.ceiling ?? .zero))
    report.findings.append(
      "segment \(place.segment.rawValue): frames from page \(scan.endPage) on and the summary are "
        + "damaged; keys not written since sequence \(ceiling.rawValue) are suspect")
    return scan.records + scan.leftovers.frames.flatMap(\.records)
  }

  private var scanner: FrameScanner {
    FrameScanner(
      device: device, geometry: geometry, uuid: superblock.uuid, checksum: checksum,
      hashKey: hashKey, cut: superblock.cut)
  }

  /// Reads the open segments for what they witness. The records are kept while they are few; those
  /// of the others are read again when their turn comes, so that memory stays bounded however many
  /// segments are open.
  private func scanOpen(_ places: [Place], _ report: inout RecoveryReport) async -> [Place] {
    var places = places
    var keptCount = 0
    for position in places.indices where places[position].entry.state == .open {
      let place = places[position]
      let scan = await scanner.scan(
        place.segment, generation: place.entry.generation, endPage: nil,
        keepsRecords: keptCount < UserLogRecovery.keptRecordCount)
      if scan.keepsRecords { keptCount += scan.recordCount + scan.leftovers.recordCount }
      report.readByteCount += UInt64(scan.readPageCount * Limits.pageByteCount)
      progress(geometry.segmentByteCount)
      places[position].scan = scan
    }
    return places
  }

  /// The highest sequence number that the frames of a segment show to have been flushed.
  ///
  /// Without its header a segment cannot say that what came before it has been freed. Where no
  /// other open segment could miss anything, its watermarks then speak of its own frames only.
  private func witnessed(by scan: SegmentScan, among scans: [SegmentScan]) -> SequenceNumber {
    let watermark = max(scan.durableWatermark, scan.leftovers.durableWatermark)
    let isAlone = !scans.contains { $0.segment != scan.segment && $0.hasFrames }
    guard scan.header == nil, isAlone else { return watermark }
    let records = scan.leftovers.frames.filter { $0.header.recordCount > 0 }
    guard let first = records.map(\.header.firstSequence).min() else { return .zero }
    return watermark.rawValue + 1 >= first.rawValue ? watermark : .zero
  }

  /// Applies an open segment, unless it lies behind a gap that no witness calls damage.
  private func applyOpen(
    _ scan: SegmentScan, before later: ArraySlice<Place>, _ progress: inout Progress,
    into index: inout RecoveredIndex, _ result: inout UserLogReplay,
    _ report: inout RecoveryReport
  ) throws(StoreError) {
    // What a checkpoint takes for granted had been flushed before it became valid.
    if let root = checkpoint?.root, root.replaySegment == scan.segment,
      root.replayGeneration == scan.generation, scan.endPage < Int(root.replayPageCount.rawValue)
    {
      noteLoss(SequenceNumber(root.cutSequence.rawValue + 1), &result, &report)
    }
    let continues = isContinuation(scan, of: progress.previous)
    if scan.hasFrames, !continues { progress.hasGap = true }
    if continues, !progress.hasGap, let first = scan.header?.firstSequence.rawValue, first > 0 {
      progress.accounted = max(progress.accounted, SequenceNumber(first - 1))
    }
    let isDamage =
      progress.hasGap && progress.evidence > max(result.lastSequence, progress.accounted)
    if !progress.hasGap || isDamage, scan.hasFrames {
      if isDamage {
        noteLoss(scan.header?.firstSequence ?? progress.evidence, &result, &report)
      }
      try apply(scan, into: &index, &result, &report)
      result.openScans.append(scan.summarized())
    } else {
      drop(scan, &report)
      let position = scan.hasFrames ? result.emptySegments.endIndex : 0
      result.emptySegments.insert(scan.segment, at: position)
    }
    let isEndNamed = isEndNamed(of: scan, in: later)
    // DURABILITY: what cannot be read is never a tail, or going on would overwrite it.
    if let failure = scan.readFailure, !isEndNamed {
      report.findings.append("segment \(scan.segment.rawValue) cannot be read: \(failure)")
      noteLoss(SequenceNumber(superblock.sequenceCeiling.rawValue + 1), &result, &report)
    }
    let hasLeftovers = !scan.leftovers.frames.isEmpty || scan.leftovers.damagedPageCount > 0
    if hasLeftovers, !isEndNamed {
      try applyLeftovers(scan, evidence: progress.evidence, into: &index, &result, &report)
      progress.hasGap = true
    }
    if scan.hasFrames { progress.previous = scan.summarized() }
  }

  /// Whether nothing is missing between a segment and its predecessor, as the table knows it:
  /// freed since, then nothing of it counts any more; sealed, and whole up to the end that the
  /// header names; or open, and its frames end exactly where the header says. An open predecessor
  /// without a single frame is a hole like any other.
  private func isContinuation(_ scan: SegmentScan, of previous: SegmentScan?) -> Bool {
    guard let header = scan.header else { return false }
    guard header.predecessor.rawValue < geometry.segmentCount else { return true }
    let entry = table[header.predecessor]
    guard entry.state != .free, entry.stream == .user,
      entry.generation == header.predecessorGeneration
    else { return true }
    if entry.state == .sealed { return entry.endPageCount == header.predecessorEndPageCount }
    guard let previous, previous.segment == header.predecessor else { return false }
    return Int(header.predecessorEndPageCount.rawValue) == previous.endPage
      && header.predecessorFrameChecksum == previous.lastFrameChecksum
  }

  /// Whether the next segment that holds anything names the end of this one exactly as it was
  /// found.
  ///
  /// DURABILITY: then the log went on there, and what lies behind the end is void: a recovery had
  /// cut it off before. The cut itself cannot tell, because only the last one is kept.
  private func isEndNamed(of scan: SegmentScan, in later: ArraySlice<Place>) -> Bool {
    guard let header = later.first(where: { $0.scan?.hasFrames ?? true })?.header else {
      return false
    }
    return header.predecessor == scan.segment && header.predecessorGeneration == scan.generation
      && Int(header.predecessorEndPageCount.rawValue) == scan.endPage
      && header.predecessorFrameChecksum == scan.lastFrameChecksum
  }

  private func apply(
    _ scan: SegmentScan, into index: inout RecoveredIndex, _ result: inout UserLogReplay,
    _ report: inout RecoveryReport
  ) throws(StoreError) {
    try index.apply(scan.records.filter { isBehindCheckpoint($0, in: scan.segment) })
    report.frameRecordCount += scan.recordCount
    result.lastSequences[scan.segment] = scan.lastSequence
    result.lastSequence = max(result.lastSequence, scan.lastSequence)
    result.clockMilliseconds = max(result.clockMilliseconds, scan.clockMilliseconds)
  }

  /// Frames behind a hole: legal leftovers whose records are not used, unless a witness shows that
  /// they had been flushed. Then the hole is damage and they count.
  private func applyLeftovers(
    _ scan: SegmentScan, evidence: SequenceNumber, into index: inout RecoveredIndex,
    _ result: inout UserLogReplay, _ report: inout RecoveryReport
  ) throws(StoreError) {
    var used = 0
    for frame in scan.leftovers.frames
    where frame.header.recordCount > 0 && frame.header.lastSequence <= evidence {
      noteLoss(frame.header.firstSequence, &result, &report)
      try index.apply(frame.records)
      result.lastSequences[scan.segment] = frame.header.lastSequence
      result.lastSequence = max(result.lastSequence, frame.header.lastSequence)
      used += frame.records.count
    }
    report.frameRecordCount += used
    report.droppedRecordCount += scan.leftovers.recordCount - used
    report.droppedByteCount +=
      (scan.leftovers.pageCount + scan.leftovers.damagedPageCount) * Limits.pageByteCount
  }

  private func drop(_ scan: SegmentScan, _ report: inout RecoveryReport) {
    report.droppedRecordCount += scan.recordCount
    if scan.hasFrames { report.droppedByteCount += scan.endPage * Limits.pageByteCount }
  }

  private func noteLoss(
    _ ceiling: SequenceNumber, _ result: inout UserLogReplay, _ report: inout RecoveryReport
  ) {
    // Higher numbers were never given out.
    let ceiling = min(ceiling, SequenceNumber(superblock.sequenceCeiling.rawValue + 1))
    guard ceiling > result.suspect?.ceiling ?? .zero else { return }
    result.suspect = SuspectRange(ceiling: ceiling)
    report.findings.append(
      "acknowledged frames are missing from the log behind sequence "
        + "\(result.lastSequence.rawValue); keys not written since sequence \(ceiling.rawValue) "
        + "are suspect")
  }

  /// After a clean shutdown the superblock names the last frame: it must be there.
  private func judgeCleanEnd(_ result: inout UserLogReplay, _ report: inout RecoveryReport) {
    guard superblock.shutdown == .clean, superblock.lastFramePage.rawValue > 0 else { return }
    let isThere = result.openScans.contains { scan in
      let first = geometry.firstPage(of: scan.segment).rawValue
      return first + UInt64(scan.lastFramePage) == superblock.lastFramePage.rawValue
        && scan.lastFrameChecksum == superblock.lastFrameChecksum
    }
    guard !isThere, result.suspect == nil else { return }
    result.suspect = SuspectRange(
      ceiling: SequenceNumber(superblock.lastSequence.rawValue + 1))
    report.findings.append(
      "the last frame that a clean shutdown recorded is missing or damaged; all keys are suspect")
  }
}
