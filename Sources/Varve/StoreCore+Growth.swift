// grow: is it possible → the device (a file is filled, on a thread of its own) → the maintenance
// task (Maintenance+Growth), which names the new size.

import Synchronization
import VarveFormat
import VarveIO

extension StoreCore {
  /// What a growth would do now.
  func growthPlan(toByteCount byteCount: UInt64?) throws(StoreError) -> GrowthPlan {
    try requireWritable()
    let geometry = publishedTable.geometry
    let present: UInt64
    do throws(DeviceError) {
      present = try device.presentByteCount()
    } catch {
      throw StoreError(error)
    }
    let plan = try GrowthPlan(
      geometry, wanted: byteCount, presentByteCount: present, on: device)
    _ = try grownMemoryPlan(plan)
    return plan
  }

  /// The memory of the grown store, or what it would need.
  private func grownMemoryPlan(_ plan: GrowthPlan) throws(StoreError) -> MemoryPlan {
    let memory = try MemoryPlan(
      budget: memoryPlan.budget, segmentCount: UInt32(plan.grownSegmentCount))
    guard plan.grownSegmentCount <= segments.capacity,
      index.reservedByteCount <= memory.indexByteLimit
    else {
      throw StoreError(
        .resource,
        "the index leaves no room in the memory budget of \(memoryPlan.budget) bytes for what a "
          + "store of \(plan.grownSegmentCount) segments holds of each: open it with a larger one")
    }
    return memory
  }

  func grow(
    toByteCount byteCount: UInt64?,
    progress: (@Sendable (_ byteCountDone: UInt64, _ byteCount: UInt64) -> Void)?
  ) async throws(StoreError) -> GrowthPlan {
    guard let maintenance, !isReadOnly else {
      try requireWritable()
      throw .readOnlyStore
    }
    let isFirst = !isGrowing.exchange(true, ordering: .acquiringAndReleasing)
    guard isFirst else {
      throw StoreError(.conflict, "the store is growing already: wait for that, and look again")
    }
    defer { isGrowing.store(false, ordering: .releasing) }
    let plan = try growthPlan(toByteCount: byteCount)
    let geometry: Geometry
    do throws(FormatError) {
      geometry = try publishedTable.geometry.grown(toByteCount: plan.grownByteCount)
    } catch {
      throw StoreError(.refused, "the store cannot be grown: \(error)")
    }
    // What runs within the budget shall open again within it: the index gives up its share first.
    let indexByteLimit = index.byteLimit
    index.byteLimit = try min(indexByteLimit, grownMemoryPlan(plan).indexByteLimit)
    do throws(StoreError) {
      try await extend(over: plan.byteCount..<plan.grownByteCount, progress)
      if let error = await suspend({ maintenance.send(.grow(geometry, $0)) }) { throw error }
    } catch {
      index.byteLimit = indexByteLimit
      throw error
    }
    return plan
  }

  /// Has the device make room, on a thread of its own: a file is filled for minutes.
  private func extend(
    over range: Range<UInt64>, _ progress: (@Sendable (UInt64, UInt64) -> Void)?
  ) async throws(StoreError) {
    let thread: WorkerThread
    do throws(DeviceError) {
      thread = try WorkerThread(name: "varve-grow")
    } catch {
      throw StoreError(error)
    }
    let work = Task(executorPreference: thread) { [self] () -> DeviceError? in
      do throws(DeviceError) {
        try device.extend(over: range) { done, total in
          progress?(done, total)
          // A store that closes waits for this.
          return Task.isCancelled || !isOpen
        }
        return nil
      } catch {
        return error
      }
    }
    let failure = await withTaskCancellationHandler {
      await work.value
    } onCancel: {
      work.cancel()
    }
    thread.stop()
    thread.join()
    guard let failure else { return }
    try requireOpen()
    guard failure.code == .noSpace else { throw StoreError(failure) }
    throw StoreError(
      .full,
      "there is no space for \(range.upperBound - range.lowerBound) bytes more: "
        + "\(failure.message). Free some, or name a smaller size; the store is as it was")
  }
}

extension GrowthPlan {
  /// Reads the plan of a store that is not open, without a lock.
  static func read(path: String, wanted: UInt64?) async throws(StoreError) -> GrowthPlan {
    let opened: OpenedDevice
    do throws(DeviceError) {
      opened = try await Devices.open(
        path, openOptions: OpenOptions(access: .readOnly, lock: .none), engine: .threads,
        options: DeviceOptions(threadCount: 1))
    } catch {
      throw StoreError(error)
    }
    let device = opened.device
    var plan: GrowthPlan?
    var failure: StoreError?
    do throws(StoreError) {
      let election = try await StoreRecovery.electSuperblock(on: device)
      if let superblock = election.superblock {
        plan = try GrowthPlan(
          superblock.geometry, wanted: wanted, presentByteCount: device.byteCount, on: device)
      }
    } catch {
      failure = error
    }
    await DeviceCloser.close(device)
    if let failure { throw failure }
    guard let plan else { throw .closedStore }
    return plan
  }
}
