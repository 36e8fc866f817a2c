import VarveFormat
import VarveIO

extension StoreInfo {
  /// Reads superblock and table without a lock.
  static func read(path: String) async throws(StoreError) -> StoreInfo {
    let holder = try StoreHolder.find(path)
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
    if let holder {
      info.isLive = true
      info.holderProcessID = holder.processID
      info.isHolderReading = holder.isReading
      if !holder.isReading {
        info.findings = []
        info.isClockHeld = false
      }
    }
    return info
  }

  private static func read(device: any BlockDevice) async throws(StoreError) -> StoreInfo {
    let election = await SuperblockStore.elect(on: device)
    guard let superblock = election.superblock else {
      throw await StoreRecovery.refusal(of: device, election)
    }
    let geometry = superblock.geometry
    let (table, lostPages) = await SegmentTable.read(
      geometry: geometry, uuid: superblock.uuid, from: device)
    var info = StoreInfo()
    info.uuid = superblock.uuid.description
    info.label = superblock.label
    info.formatVersion = Int(Superblock.formatVersion)
    info.deviceByteCount = geometry.deviceByteCount
    info.presentByteCount = device.byteCount
    info.growableByteCount = GrowthPlan.growableByteCount(
      geometry, presentByteCount: device.byteCount)
    info.maximumByteCount = geometry.maximumByteCount
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
    info.clockMilliseconds = superblock.clockMilliseconds
    info.hasExpiries = superblock.hasExpiries
    let start = ClockStart(
      markMilliseconds: superblock.clockMilliseconds,
      wallMilliseconds: StoreEnvironment().wallMilliseconds(), hasExpiries: superblock.hasExpiries,
      jump: .hold, boundMilliseconds: UInt64(StoreOptions().clockJumpBoundSeconds * 1000))
    info.isClockHeld = start.heldJumpMilliseconds != nil
    info.hasCheckpoint = superblock.checkpoint != nil
    info.validSuperblockCount = election.validCount
    info.findings = findings(info, lostPages: lostPages)
    return info
  }

  private static func findings(_ info: StoreInfo, lostPages: [Int]) -> [String] {
    var findings: [String] = []
    if info.presentByteCount < info.deviceByteCount {
      findings.append(
        "the store was formatted for \(info.deviceByteCount) bytes, and there are only "
          + "\(info.presentByteCount): it has been cut short, and opens only with its full length")
    }
    if info.validSuperblockCount < Superblock.copyCount {
      findings.append(
        "only \(info.validSuperblockCount) of \(Superblock.copyCount) superblock copies are valid; "
          + "they are rewritten when the store is opened to write")
    }
    for page in lostPages {
      findings.append(
        "page \(page) of the segment table is damaged in all copies: the counts leave its segments "
          + "out")
    }
    return findings
  }
}
