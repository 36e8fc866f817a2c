// What works on a path: creating a store, and asking one about itself.

import VarveFormat
import VarveIO

extension StoreError {
  /// The error of the I/O layer, in the store's terms.
  init(_ error: DeviceError) {
    let code: Code =
      switch error.code {
      case .notFound: .notFound
      case .inUse: .inUse
      case .resource: .resource
      case .cancelled: .cancelled
      case .io, .noSpace: .io
      case .tooLarge, .sizeMissing, .unsupported: .usage
      case .exists, .holdsData, .isDirectory, .notRegularFile, .symbolicLink, .permission,
        .mounted, .noDirectIO, .tooSmall:
        .refused
      }
    self.init(code, error.message)
  }
}

extension StoreFormatter {
  /// Creates a file, or takes a block device, and formats it.
  static func create(path: String, options: FormatOptions) async throws(StoreError) {
    if let byteCount = options.byteCount {
      // Before anything is created: numbers that make no store.
      _ = try geometry(byteCount: byteCount, options: options)
    }
    let device: any BlockDevice
    do throws(DeviceError) {
      let file = try DirectFile.create(
        path,
        options: CreateOptions(
          byteCount: options.byteCount, force: options.force,
          superblockByteOffsets: { byteCount in
            let pages = byteCount / UInt64(Limits.pageByteCount)
            guard pages > 2 * UInt64(Geometry.superblockSpacing) else { return [0] }
            return (0..<Superblock.copyCount).map {
              Geometry.superblockPage(copy: $0, devicePageCount: pages).rawValue
                * UInt64(Limits.pageByteCount)
            }
          }),
        progress: { done, total in options.progress?(done, total) })
      device = try Devices.start(file).device
    } catch {
      throw StoreError(error)
    }
    var failure: StoreError?
    do throws(StoreError) {
      try await format(device: device, options: options, environment: StoreEnvironment())
    } catch {
      failure = error
    }
    await DeviceCloser.close(device)
    if let failure { throw failure }
  }
}

extension StoreInfo {
  /// Reads superblock and table without a lock.
  static func read(path: String) async throws(StoreError) -> StoreInfo {
    var holder: DeviceError?
    do throws(DeviceError) {
      // Only to learn whether somebody writes; released at once.
      let probe = try DirectFile.open(path, options: OpenOptions(access: .readOnly))
      try probe.close()
    } catch {
      guard error.code == .inUse else { throw StoreError(error) }
      holder = error
    }
    let device: any BlockDevice
    do throws(DeviceError) {
      device = try await Devices.open(
        path, openOptions: OpenOptions(access: .readOnly, lock: .none), engine: .threads,
        options: DeviceOptions(threadCount: 1)
      ).device
    } catch {
      throw StoreError(error)
    }
    var info = StoreInfo()
    var failure: StoreError?
    do throws(StoreError) {
      info = try await read(device: device)
    } catch {
      failure = error
    }
    await DeviceCloser.close(device)
    if let failure { throw failure }
    info.isLive = holder != nil
    info.holderProcessID = holder?.holderProcessID
    return info
  }

  private static func read(device: any BlockDevice) async throws(StoreError) -> StoreInfo {
    let election = try await StoreRecovery.electSuperblock(on: device)
    var info = StoreInfo()
    guard let superblock = election.superblock else { return info }
    let (table, _) = await SegmentTable.read(
      geometry: superblock.geometry, uuid: superblock.uuid, from: device)
    let geometry = superblock.geometry
    info.uuid = superblock.uuid.description
    info.label = superblock.label
    info.formatVersion = Int(Superblock.formatVersion)
    info.deviceByteCount = geometry.deviceByteCount
    info.segmentByteCount = geometry.segmentByteCount
    info.segmentCount = Int(geometry.segmentCount)
    for (_, entry) in table.entries {
      switch entry.state {
      case .free: info.freeSegmentCount += 1
      case .open: info.openSegmentCount += 1
      case .sealed: info.sealedSegmentCount += 1
      }
    }
    info.maximumValueByteCount = geometry.maximumValueByteCount
    info.wasClosedCleanly = superblock.shutdown == .clean
    info.lastSequence = superblock.lastSequence.rawValue
    info.openCount = superblock.openCount
    info.createdMilliseconds = superblock.createdMilliseconds
    info.hasCheckpoint = superblock.checkpoint != nil
    info.validSuperblockCount = election.validCount
    return info
  }
}

extension StoreCore {
  /// What a recovery would read, hold and take.
  static func recoveryPlan(
    path: String, options: StoreOptions
  ) async throws(StoreError) -> RecoveryPlan {
    var options = options
    options.readOnly = true
    let device = try await openDevice(
      path: path, options: options, SlowRequestRelay(logger: options.logger)
    ).device
    var plan: RecoveryPlan?
    var failure: StoreError?
    do throws(StoreError) {
      plan = try await recoveryPlan(device: device)
    } catch {
      failure = error
    }
    await DeviceCloser.close(device)
    if let failure { throw failure }
    guard let plan else { throw .closedStore }
    return plan
  }

  static func recoveryPlan(device: any BlockDevice) async throws(StoreError) -> RecoveryPlan {
    let election = try await StoreRecovery.electSuperblock(on: device)
    guard let superblock = election.superblock else { throw .closedStore }
    let geometry = superblock.geometry
    let (table, _) = await SegmentTable.read(
      geometry: geometry, uuid: superblock.uuid, from: device)
    let hashKey = HashKey(low: superblock.hashKeyLow, high: superblock.hashKeyHigh)
    let reader = SegmentReader(
      device: device, geometry: geometry, uuid: superblock.uuid, hashKey: hashKey)
    let loader = CheckpointLoader(
      device: device, geometry: geometry, uuid: superblock.uuid,
      checksum: Checksum(uuid: superblock.uuid), table: table)
    var root: CheckpointRoot?
    if let reference = superblock.checkpoint { root = await loader.root(reference) }
    var plan = RecoveryPlan(
      wasClean: superblock.shutdown == .clean, byteCountToRead: 0, memoryByteCount: 0,
      estimatedSeconds: 0, frameSegmentCount: 0, summarySegmentCount: 0,
      usesCheckpoint: root != nil)
    var recordCount = Int(root?.entryCount ?? 0)
    plan.byteCountToRead = (root?.pageCount ?? 0) * UInt64(Limits.pageByteCount)
    for (segment, entry) in table.entries where entry.state != .free && entry.stream == .user {
      let facts = entry.hasSummary ? await reader.facts(of: segment, entry: entry) : nil
      guard let facts else {
        plan.frameSegmentCount += 1
        plan.byteCountToRead += UInt64(geometry.segmentByteCount)
        // A record takes at least 48 bytes with its share of the page.
        recordCount += geometry.segmentByteCount / 512
        continue
      }
      if let root, facts.lastSequence <= root.cutSequence { continue }
      plan.summarySegmentCount += 1
      plan.byteCountToRead += UInt64(
        (1 + Int(facts.summaryPageCount.rawValue)) * Limits.pageByteCount)
      recordCount += Int(facts.recordCount)
    }
    plan.memoryByteCount = UInt64(
      RecoveredIndex.neededByteCount(recordCount: recordCount) + 2 * geometry.segmentByteCount / 8)
    let bytesPerSecond = await measureBandwidth(device, geometry)
    plan.estimatedSeconds =
      Double(plan.byteCountToRead) / bytesPerSecond
      + Double(recordCount) * Maintenance.replaySecondsPerRecord
    return plan
  }

  /// Bytes a second of a few large reads.
  private static func measureBandwidth(
    _ device: any BlockDevice, _ geometry: Geometry
  ) async -> Double {
    let clock = StoreEnvironment().monotonicNanoseconds
    let pageCount = min(256, Int(geometry.segmentPageCount.rawValue))
    let buffer = PageBuffer(pageCount: pageCount)
    let start = clock()
    var byteCount = 0
    for segment in 0..<min(8, geometry.segmentCount) {
      let page = geometry.firstPage(of: SegmentIndex(segment))
      guard await device.read(pageCount, pagesAt: page, into: buffer) == nil else { continue }
      byteCount += pageCount * Limits.pageByteCount
    }
    let nanoseconds = max(1, clock() - start)
    return max(1_048_576, Double(byteCount) * 1e9 / Double(nanoseconds))
  }
}
