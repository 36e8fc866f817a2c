import VarveFormat

/// The segments of a store at one moment, each described when it is asked for: a large store has
/// hundreds of thousands.
struct SegmentSnapshot: Sendable {
  let table: SegmentTable
  private let contents: [SegmentIndex: SegmentContents]
  /// Where live records are counted; nil in a store that is not open.
  private let directory: SegmentDirectory?
  /// For each segment how many of the users' log are newer; -1 where that is not known.
  private let newerCounts: [Int32]

  /// `order` names segments of the users' log from the oldest to the newest.
  init(
    table: SegmentTable, order: [SegmentIndex], contents: [SegmentIndex: SegmentContents],
    directory: SegmentDirectory?
  ) {
    self.table = table
    self.contents = contents
    self.directory = directory
    var newerCounts = [Int32](repeating: -1, count: Int(table.geometry.segmentCount))
    let used = SegmentSnapshot.completed(order, table)
    for (position, segment) in used.enumerated() {
      newerCounts[Int(segment.rawValue)] = Int32(used.count - 1 - position)
    }
    self.newerCounts = newerCounts
  }

  /// The order without what has been freed, and with what was opened since: the table knows first,
  /// and each names the one before it.
  private static func completed(_ order: [SegmentIndex], _ table: SegmentTable) -> [SegmentIndex] {
    var used = order.filter { table[$0].state != .free && table[$0].stream == .user }
    let known = Set(used)
    var rest = table.entries.filter {
      $0.entry.state != .free && $0.entry.stream == .user && !known.contains($0.segment)
    }
    var end = order.last ?? .none
    while let next = rest.firstIndex(where: { $0.entry.predecessor == end }) {
      end = rest.remove(at: next).segment
      used.append(end)
    }
    return used
  }

  var count: Int { newerCounts.count }

  var infos: [SegmentInfo] { (0..<count).map { self[SegmentIndex(UInt32($0))] } }

  subscript(segment: SegmentIndex) -> SegmentInfo {
    let entry = table[segment]
    var info = SegmentInfo()
    info.index = Int(segment.rawValue)
    info.generation = entry.generation.rawValue
    info.byteCount = table.geometry.segmentByteCount
    switch entry.state {
    case .free: return info
    case .open: info.state = .open
    case .sealed: info.state = .sealed
    }
    info.stream = SegmentInfo.Stream(entry.stream)
    if entry.state == .sealed { info.usedByteCount = entry.endPageCount.byteCount }
    if let found = contents[segment], found.generation == entry.generation {
      info.recordCount = found.recordCount
      info.firstSequence = found.firstSequence?.rawValue
      info.lastSequence = found.lastSequence?.rawValue
      if entry.state == .open { info.usedByteCount = found.usedPageCount?.byteCount }
    }
    let newer = newerCounts[Int(segment.rawValue)]
    if newer >= 0 { info.newerSegmentCount = Int(newer) }
    if let directory, entry.stream != .checkpoint {
      info.liveRecordCount = directory.liveRecordCount(of: segment)
      info.liveTombstoneCount = directory.liveTombstoneCount(of: segment)
      info.liveByteCount = liveByteCount(of: segment, entry, directory)
    }
    return info
  }

  /// The bytes that live records take. Those that compaction packed cannot be packed better, so
  /// what it had to leave empty counts with them, in proportion.
  private func liveByteCount(
    of segment: SegmentIndex, _ entry: SegmentEntry, _ directory: SegmentDirectory
  ) -> Int {
    let byteCount = directory.liveByteCount(of: segment)
    let packedByteCount = entry.packedByteCount
    guard packedByteCount > 0 else { return byteCount }
    return min(byteCount, packedByteCount) * entry.endPageCount.byteCount / packedByteCount
  }
}

extension SegmentInfo.Stream {
  /// The stream of the format.
  init(_ stream: StreamKind) {
    self =
      switch stream {
      case .user: .user
      case .relocation0: .relocation1
      case .relocation1: .relocation2
      case .relocation2: .relocation3
      case .relocation3: .relocation4
      case .checkpoint: .checkpoint
      }
  }
}
