import Measuring

/// A run of one store: load, warm-up, measurement, a look at some keys, and the end.
public struct LoadRun<Store: LoadedStore>: Sendable {
  private static var verifiedKeyCount: UInt64 { 1000 }

  private let store: Store
  private let plan: LoadPlan
  private let emit: @Sendable (LoadLine) -> Void

  /// A run that says what it does through `emit`, from any thread.
  public init(_ store: Store, _ plan: LoadPlan, emit: @escaping @Sendable (LoadLine) -> Void) {
    self.store = store
    self.plan = plan
    self.emit = emit
  }

  /// Runs to the end or to the first failure, and closes the store.
  public func run() async {
    emit(.opened(LoadLine.Opened(name: store.name, configuration: store.configuration)))
    let executor = store.executor(taskCount: plan.taskCount)
    var verified: UInt64 = 0
    do {
      for (ordinal, name) in LoadLine.PhaseName.allCases.enumerated() {
        try await run(name, seed: Random.mix(plan.seed &+ UInt64(ordinal)), on: executor)
      }
      verified = try await verify(on: executor)
    } catch {
      emit(.failed(LoadFailure(error)))
    }
    let diagnostics = store.diagnostics
    do {
      try await store.close()
    } catch {
      emit(.failed(LoadFailure(error)))
    }
    (executor as? ThreadExecutor)?.end()
    emit(
      .closed(
        LoadLine.Closed(
          verifiedKeyCount: verified, peakResidentByteCount: LoadUsage.peakResidentByteCount,
          diagnostics: diagnostics)))
  }

  /// Runs a phase and says what it did, also where it failed.
  private func run(
    _ name: LoadLine.PhaseName, seed: UInt64, on executor: (any TaskExecutor)?
  ) async throws {
    let isLoad = name == .load
    let limit =
      switch name {
      case .load: plan.keyCount as UInt64?
      case .warmUp: plan.warmUpOperationCount
      case .measured: plan.measuredOperationCount
      }
    let isTimed = name == .measured && limit == nil
    let progress = LoadProgress(limit: limit, taskCount: plan.taskCount)
    let sampler = SecondSampler(
      name, progress, secondLimit: isTimed ? plan.measuredSeconds : nil, path: plan.path,
      diskByteCount: { (try? store.diskByteCount) ?? 0 }, emit: emit)
    let before = LoadUsage.now(devicePath: plan.path)
    let causes = store.writtenByteCounts
    let start = MonotonicClock.nanoseconds()
    sampler.start()
    let outcome = await operate(
      isLoad ? .each : KeyChoice(plan), readShare: isLoad ? 0 : plan.readShare, seed: seed,
      progress, executor)
    if isLoad, progress.failure == nil {
      do { try await store.sync() } catch { progress.fail(LoadFailure(error)) }
    }
    let seconds = Double(MonotonicClock.nanoseconds() - start) / 1e9
    sampler.finish()
    let after = LoadUsage.now(devicePath: plan.path)
    let deviceBytes = after.deviceWrittenByteCount.map {
      $0 - (before.deviceWrittenByteCount ?? $0)
    }
    emit(
      .phase(
        LoadLine.Phase(
          phase: name, seconds: seconds, putCount: progress.putCount,
          getCount: progress.getCount, puts: LatencyFigures(outcome.puts),
          gets: LatencyFigures(outcome.gets), cpuSeconds: after.cpuSeconds - before.cpuSeconds,
          writtenByteCount: after.writtenByteCount
            - min(before.writtenByteCount, after.writtenByteCount),
          deviceWrittenByteCount: deviceBytes,
          writtenByteCounts: store.writtenByteCounts.reduce(into: [:]) { counts, cause in
            counts[cause.key] = cause.value - min(causes[cause.key] ?? 0, cause.value)
          },
          diskByteCount: (try? store.diskByteCount) ?? 0)))
    if let failure = progress.failure { throw failure }
  }

  /// Runs the tasks of a phase to its end.
  private func operate(
    _ choice: KeyChoice, readShare: Double, seed: UInt64, _ progress: LoadProgress,
    _ executor: (any TaskExecutor)?
  ) async -> LoadTask<Store>.Outcome {
    await withTaskGroup(of: LoadTask<Store>.Outcome.self) { group in
      for (number, tally) in progress.tallies.enumerated() {
        let task = LoadTask(
          store: store, choice: choice, readShare: readShare, progress: progress, tally: tally,
          seed: Random.mix(seed &+ UInt64(number)))
        group.addTask(executorPreference: executor) { await task.run() }
      }
      var total = LoadTask<Store>.Outcome()
      for await part in group {
        total.puts.add(part.puts)
        total.gets.add(part.gets)
      }
      return total
    }
  }

  /// Reads some keys back: a store that is fast because it forgets is found out.
  private func verify(on executor: (any TaskExecutor)?) async throws -> UInt64 {
    let count = min(plan.keyCount, Self.verifiedKeyCount)
    let (store, plan) = (store, plan)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask(executorPreference: executor) {
        var random = Random(state: plan.seed)
        var records = RecordSource(seed: plan.seed)
        for _ in 0..<count {
          let number = random.next(below: plan.keyCount)
          records.setKey(number)
          try await LoadTask.get(number, records, store)
        }
      }
      try await group.waitForAll()
    }
    return count
  }
}
