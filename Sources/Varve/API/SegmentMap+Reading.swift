import VarveFormat
import VarveIO

extension SegmentMap {
  /// Reads table and summaries without a lock, then counts what is live where nobody writes.
  static func read(path: String, options: StoreOptions) async throws(StoreError) -> SegmentMap {
    let holder = try StoreHolder.find(path)
    let device: any BlockDevice
    do throws(DeviceError) {
      device = try await Devices.open(
        path, openOptions: OpenOptions(access: .readOnly, lock: .none), engine: .threads
      ).device
    } catch {
      throw StoreError(error)
    }
    var map = SegmentMap()
    var failure: StoreError?
    do throws(StoreError) {
      map = try await read(device: device)
    } catch {
      failure = error
    }
    await DeviceCloser.close(device)
    if let failure { throw failure }
    if let holder {
      map.isLive = true
      map.holderProcessID = holder.processID
      map.isHolderReading = holder.isReading
    }
    if holder?.isReading ?? true { await map.countLive(path: path, options: options) }
    return map
  }

  /// Opens the store for reading and takes over what it counts. Where it cannot be opened, the map
  /// goes without.
  private mutating func countLive(path: String, options: StoreOptions) async {
    var options = options
    options.readOnly = true
    options.allowDegraded = true
    options.waitForLockSeconds = 0
    options.metricsFactory = nil
    options.statisticsSocketPath = nil
    do throws(StoreError) {
      let store = try await Store.open(path: path, options: options)
      update(with: store.segments)
      findings += store.recoveryReport.findings
      try await store.close()
    } catch {
      // Somebody took it between the two looks.
      guard error.code != .inUse else { return isLive = true }
      findings.append("what is live was not counted: \(error.message)")
    }
  }

  /// What table and summaries say.
  private static func read(device: any BlockDevice) async throws(StoreError) -> SegmentMap {
    let election = await SuperblockStore.elect(on: device)
    guard let superblock = election.superblock else {
      throw await StoreRecovery.refusal(of: device, election)
    }
    let geometry = superblock.geometry
    let (table, lostPages) = await SegmentTable.read(
      geometry: geometry, uuid: superblock.uuid, from: device)
    let reader = SegmentReader(
      device: device, geometry: geometry, uuid: superblock.uuid,
      hashKey: HashKey(low: superblock.hashKeyLow, high: superblock.hashKeyHigh))
    let contents = await contents(of: table, reader)
    let snapshot = SegmentSnapshot(
      table: table, order: order(of: table, contents), contents: contents, directory: nil)
    var map = SegmentMap()
    map.uuid = superblock.uuid.description
    map.label = superblock.label
    map.segmentByteCount = geometry.segmentByteCount
    map.segments = snapshot.infos
    map.findings = lostPages.map {
      "page \($0) of the segment table is damaged in all copies: its segments are shown as free"
    }
    return map
  }

  /// Segments of the users' log by their first sequence number.
  private static func order(
    of table: SegmentTable, _ contents: [SegmentIndex: SegmentContents]
  ) -> [SegmentIndex] {
    let places = table.entries.compactMap { segment, entry -> (SequenceNumber, SegmentIndex)? in
      guard entry.state != .free, entry.stream == .user else { return nil }
      return contents[segment]?.firstSequence.map { ($0, segment) }
    }
    return places.sorted { $0 < $1 }.map(\.1)
  }

  /// Reads a page of each segment in use: of its summary, or its header where it has none.
  private static func contents(
    of table: SegmentTable, _ reader: SegmentReader
  ) async -> [SegmentIndex: SegmentContents] {
    let used = table.entries.filter { $0.entry.state != .free && $0.entry.stream != .checkpoint }
    var contents: [SegmentIndex: SegmentContents] = [:]
    let step = UserLogRecovery.concurrentReadCount
    for start in stride(from: 0, to: used.count, by: step) {
      await withTaskGroup(of: (SegmentIndex, SegmentContents?).self) { group in
        for (segment, entry) in used[start..<min(start + step, used.count)] {
          group.addTask { (segment, await self.contents(of: segment, entry, reader)) }
        }
        for await (segment, found) in group { contents[segment] = found }
      }
    }
    return contents
  }

  private static func contents(
    of segment: SegmentIndex, _ entry: SegmentEntry, _ reader: SegmentReader
  ) async -> SegmentContents? {
    if entry.hasSummary, let facts = await reader.facts(of: segment, entry: entry) {
      return SegmentContents(
        generation: entry.generation, recordCount: Int(facts.recordCount),
        firstSequence: facts.firstSequence, lastSequence: facts.lastSequence,
        usedPageCount: facts.endPageCount)
    }
    guard let header = await reader.header(of: segment, entry: entry) else { return nil }
    return SegmentContents(generation: entry.generation, firstSequence: header.firstSequence)
  }
}
