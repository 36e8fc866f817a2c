// What works on a path: creating a store, and planning a recovery.

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

extension StoreCore {
  /// What a recovery would read, hold and take.
  static func recoveryPlan(
    path: String, options: StoreOptions
  ) async throws(StoreError) -> RecoveryPlan {
    let holder = try StoreHolder.find(path)
    let device = try await openToPlan(path, options)
    var plan: RecoveryPlan?
    var failure: StoreError?
    do throws(StoreError) {
      plan = try await recoveryPlan(device: device)
    } catch {
      failure = error
    }
    await DeviceCloser.close(device)
    if let failure { throw failure }
    guard var plan else { throw .closedStore }
    plan.isLive = holder != nil
    plan.holderProcessID = holder?.processID
    return plan
  }

  /// Opens what is to be planned for without a lock: a plan only reads, and of a store in use it
  /// tells what a recovery would do if the holder died now.
  private static func openToPlan(
    _ path: String, _ options: StoreOptions
  ) async throws(StoreError) -> any BlockDevice {
    do throws(DeviceError) {
      return try await Devices.open(
        path,
        openOptions: OpenOptions(
          access: .readOnly, lock: .none, allowBuffered: options.allowBufferedIO),
        engine: .threads, options: DeviceOptions(threadCount: 1)
      ).device
    } catch {
      throw StoreError(error)
    }
  }

  static func recoveryPlan(device: any BlockDevice) async throws(StoreError) -> RecoveryPlan {
    let election = try await StoreRecovery.electSuperblock(on: device)
    guard let superblock = election.superblock else { throw .closedStore }
    return await RecoveryPlanner(device: device, superblock: superblock).plan()
  }
}
