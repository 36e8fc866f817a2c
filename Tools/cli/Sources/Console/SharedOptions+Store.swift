import Varve

extension SharedOptions {
  /// Opens a store with progress, hands it to `body`, and closes it whatever happens.
  ///
  /// A recovered or degraded open is reported on standard error; the exit code stays the command's.
  /// - Throws: what opening, `body` or closing throws.
  public func withStore<Result>(
    _ path: String, readOnly: Bool, allowDegraded: Bool = false,
    allowSuspectReads: Bool = false, reportsOpen: Bool = true, clockJump: ClockJump = .hold,
    _ body: (Store) async throws -> Result
  ) async throws -> Result {
    let store = try await openStore(
      path, readOnly: readOnly, allowDegraded: allowDegraded,
      allowSuspectReads: allowSuspectReads, clockJump: clockJump)
    if reportsOpen { report(store.recoveryReport) }
    let result: Result
    do {
      result = try await body(store)
    } catch {
      // The first error is the one to tell.
      try? await store.close()
      throw (error as? StoreError).map { ToolError($0) } ?? error
    }
    do {
      try await store.close()
    } catch {
      throw ToolError(error, subject: "closing the store")
    }
    return result
  }

  /// Opens a store with progress.
  ///
  /// - Throws: why it cannot be opened.
  public func openStore(
    _ path: String, readOnly: Bool, allowDegraded: Bool = false,
    allowSuspectReads: Bool = false, clockJump: ClockJump = .hold
  ) async throws(ToolError) -> Store {
    let meter = ProgressMeter("recovering", isShown: showsProgress)
    defer { meter.finish() }
    let options = storeOptions(
      readOnly: readOnly, allowDegraded: allowDegraded, allowSuspectReads: allowSuspectReads
    ) { progress in
      meter.update(byteCountDone: progress.byteCountDone, byteCount: progress.byteCount)
    }
    do {
      return try await Store.open(path: path, options: options, clockJump: clockJump)
    } catch {
      throw ToolError(error, subject: path)
    }
  }

  private func report(_ report: RecoveryReport) {
    guard report.outcome != .clean || report.heldClockJumpSeconds != nil, !isQuiet else {
      return
    }
    if json { return OpenReport.hold(report) }
    if let seconds = report.heldClockJumpSeconds {
      remark(
        "the wall clock is \(OpenReport.days(seconds)) ahead of the store's: nothing expires by "
          + "it. If it is right, confirm it with `kvctl recover --accept-clock`")
    }
    switch report.outcome {
    case .clean: break
    case .recovered:
      remark(
        "the store had not been closed: recovered, \(report.droppedRecordCount) unacknowledged "
          + "records dropped")
    case .degraded:
      remark("DEGRADED: \(report.findings.joined(separator: "; "))")
    }
  }
}
