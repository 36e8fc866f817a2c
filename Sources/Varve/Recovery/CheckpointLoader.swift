// Loads an index checkpoint. Anything wrong with it voids it, never the data: recovery then goes on
// without it.

import VarveFormat
import VarveIO

/// A checkpoint whose pages have all been verified.
struct LoadedCheckpoint {
  var root: CheckpointRoot
  var generations: [Generation]
}

/// Reads checkpoints.
struct CheckpointLoader {
  let device: any BlockDevice
  let geometry: Geometry
  let uuid: StoreUUID
  let checksum: Checksum
  let table: SegmentTable

  /// The root that a superblock names, or nil where it is not whole.
  func root(_ reference: CheckpointReference) async -> CheckpointRoot? {
    guard let segment = geometry.segment(containing: reference.rootPage),
      table[segment].state == .sealed, table[segment].stream == .checkpoint,
      table[segment].generation == reference.rootGeneration
    else { return nil }
    let buffer = PageBuffer(pageCount: 1)
    guard await device.read(1, pagesAt: reference.rootPage, into: buffer) == nil else {
      return nil
    }
    return buffer.withPage(0) { bytes -> CheckpointRoot? in
      guard
        let header = try? PageHeader.verify(
          bytes, at: reference.rootPage, generation: reference.rootGeneration, uuid: uuid,
          checksum: checksum), header.kind == .checkpoint,
        (try? CheckpointPage.kind(of: bytes, identifier: reference.identifier, ordinal: nil))
          == .root
      else { return nil }
      return (try? CheckpointPage.root(of: bytes)).flatMap { isPossible($0) ? $0 : nil }
    }
  }

  /// Whether a checkpoint of these counts fits the store.
  private func isPossible(_ root: CheckpointRoot) -> Bool {
    let pageLimit = UInt64(root.segmentCount) * UInt64(geometry.segmentPageCount.rawValue)
    return root.segmentCount >= 1 && root.segmentCount <= geometry.segmentCount
      && root.replaySegment.rawValue < geometry.segmentCount
      && root.replayPageCount <= geometry.segmentPageCount
      && root.pageCount <= pageLimit
      && root.entryCount <= root.pageCount * UInt64(CheckpointPage.entriesPerPage)
  }

  /// Reads every page and hands the entries of each to `body`, in order.
  ///
  /// - Returns: nil where a page is missing or damaged, or `body` returned false; what was handed
  ///   out until then is void.
  func load(
    _ reference: CheckpointReference, root: CheckpointRoot,
    _ body: ([CheckpointEntry]) -> Bool
  ) async -> LoadedCheckpoint? {
    guard let segments = chain(reference, root) else { return nil }
    var ordinal: UInt64 = 0
    var pagesChecksum: UInt32 = 0
    var generations: [Generation] = []
    var entryCount: UInt64 = 0
    for segment in segments {
      var window = SegmentWindow(
        device: device, firstPage: geometry.firstPage(of: segment),
        pageCount: Int(geometry.segmentPageCount.rawValue))
      var page = 1
      while page < Int(geometry.segmentPageCount.rawValue), ordinal < root.pageCount {
        guard let lent = await window.load(page, 1) else { return nil }
        var entries: [CheckpointEntry] = []
        let address = PageIndex(geometry.firstPage(of: segment).rawValue + UInt64(page))
        let isWhole = lent.withBytes { bytes in
          decode(
            bytes, at: address, generation: table[segment].generation, root: root,
            ordinal: ordinal, &pagesChecksum, &entries, &generations)
        }
        guard isWhole, entries.isEmpty || body(entries) else { return nil }
        entryCount += UInt64(entries.count)
        ordinal += 1
        page += 1
      }
    }
    guard ordinal == root.pageCount, pagesChecksum == root.pagesChecksum,
      entryCount == root.entryCount, let generations = completed(generations)
    else { return nil }
    return LoadedCheckpoint(root: root, generations: generations)
  }

  /// One generation for each segment: those that the store has gained since were not there.
  private func completed(_ generations: [Generation]) -> [Generation]? {
    let missingCount = Int(geometry.segmentCount) - generations.count
    guard missingCount >= 0, generations.count >= Limits.minimumSegmentCount else { return nil }
    return generations + Array(repeating: Generation(0), count: missingCount)
  }

  /// The generations of all segments when the checkpoint began, from its last pages alone; nil
  /// where one of them is missing or damaged.
  func generations(_ reference: CheckpointReference, root: CheckpointRoot) async -> [Generation]? {
    let perPage = CheckpointPage.generationsPerPage
    // As many pages as the store would fill now, or fewer: it may have grown since.
    let pageLimit = (UInt64(geometry.segmentCount) + UInt64(perPage) - 1) / UInt64(perPage)
    guard let segments = chain(reference, root) else { return nil }
    // Each segment holds pages of the checkpoint behind its header.
    let pagesPerSegment = UInt64(geometry.segmentPageCount.rawValue) - 1
    let buffer = PageBuffer(pageCount: 1)
    var generations: [Generation] = []
    var ordinal = root.pageCount
    while ordinal > 0, root.pageCount - ordinal < pageLimit {
      ordinal -= 1
      let position = Int(ordinal / pagesPerSegment)
      guard position < segments.count else { return nil }
      let segment = segments[position]
      let address = PageIndex(
        geometry.firstPage(of: segment).rawValue + 1 + ordinal % pagesPerSegment)
      guard await device.read(1, pagesAt: address, into: buffer) == nil else { return nil }
      var (pagesChecksum, entries): (UInt32, [CheckpointEntry]) = (0, [])
      var found: [Generation] = []
      let isWhole = buffer.withPage(0) { bytes in
        decode(
          bytes, at: address, generation: table[segment].generation, root: root,
          ordinal: ordinal, &pagesChecksum, &entries, &found)
      }
      guard isWhole else { return nil }
      if found.isEmpty { break }
      generations = found + generations
    }
    return completed(generations)
  }

  private func decode(
    _ bytes: RawSpan, at address: PageIndex, generation: Generation, root: CheckpointRoot,
    ordinal: UInt64, _ pagesChecksum: inout UInt32, _ entries: inout [CheckpointEntry],
    _ generations: inout [Generation]
  ) -> Bool {
    guard
      let header = try? PageHeader.verify(
        bytes, at: address, generation: generation, uuid: uuid, checksum: checksum),
      header.kind == .checkpoint,
      let kind = try? CheckpointPage.kind(
        of: bytes, identifier: root.identifier, ordinal: ordinal),
      let count = try? CheckpointPage.count(of: bytes, kind: kind), kind != .root
    else { return false }
    pagesChecksum = Checksum.word(
      UInt64(PageHeader.checksumField(of: bytes)), seed: pagesChecksum)
    for index in 0..<count {
      if kind == .entries {
        guard let entry = try? CheckpointPage.entry(of: bytes, at: index),
          geometry.segment(containing: entry.location.page) != nil
        else { return false }
        entries.append(entry)
      } else {
        guard let generation = try? CheckpointPage.generation(of: bytes, at: index) else {
          return false
        }
        generations.append(generation)
      }
    }
    return true
  }

  /// The segments of the checkpoint, first to last, by the table's predecessors.
  private func chain(
    _ reference: CheckpointReference, _ root: CheckpointRoot
  ) -> [SegmentIndex]? {
    guard let last = geometry.segment(containing: reference.rootPage) else { return nil }
    var segments = [last]
    while segments.count < Int(root.segmentCount) {
      let before = table[segments[segments.count - 1]].predecessor
      guard before != .none, before.rawValue < geometry.segmentCount,
        table[before].stream == .checkpoint, table[before].state == .sealed,
        !segments.contains(before)
      else { return nil }
      segments.append(before)
    }
    return segments.reversed()
  }
}
