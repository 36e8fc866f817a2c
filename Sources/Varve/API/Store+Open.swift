import VarveIO

extension Store {
  /// Formats a file or a block device as an empty store and leaves it closed.
  ///
  /// A file is created with mode 0600, preallocated and filled with zeros, so that later writes
  /// find their space; a device is not filled. What exists is refused unless `options.force`; a
  /// mounted device always is. Durable on return: the empty store and its directory entry; after a
  /// crash in the middle, what is there is no store. Cost: writes the whole file once.
  /// - Parameters:
  ///   - path: What to create, or a block device.
  ///   - options: Byte count, segments, label.
  /// - Throws: `refused` (something is there), `usage` (numbers that make no store), `inUse`,
  ///   `resource`, `io`, `notFound` (the directory).
  public static func create(path: String, options: FormatOptions) async throws(StoreError) {
    try await StoreFormatter.create(path: path, options: options)
  }

  /// Opens a store, recovering it where it was not closed.
  ///
  /// The store holds an exclusive lock until it is closed: a second open fails, in this process as
  /// in another; read-only opens share one. Durable on return: everything that recovery found, so
  /// that no later crash shows less. Cost: after `close()`, a read of the checkpoint or of the
  /// segments' summaries; after a crash, also of the log behind them.
  /// - Parameters:
  ///   - path: A file that `create` made, or a block device.
  ///   - options: Budget, durability of recovery, logging; the defaults suit a service.
  ///   - waitForLock: How long to wait while another process holds the store, as in a rolling
  ///     restart. It wins over `options.waitForLockSeconds`, which nil takes.
  ///   - clockJump: What to do where the wall clock is so far ahead that records would expire by a
  ///     mistake; matters only in a store with expiries.
  /// - Returns: the store, which should be closed.
  /// - Throws: `notFound`; `usage` (an option is out of its bounds, before anything is touched);
  ///   `refused` (no store, or one that cannot be used here); `inUse`;
  ///   `resource`, with what would suffice; `io`; `corrupt` where damage of unknown extent needs
  ///   `allowDegraded`; `cancelled` while it waits for the lock.
  public static func open(
    path: String, options: StoreOptions = StoreOptions(), waitForLock: Duration? = nil,
    clockJump: ClockJump = .hold
  ) async throws(StoreError) -> Store {
    try options.validate()
    var options = options
    if let waitForLock { options.waitForLockSeconds = waitForLock / .seconds(1) }
    return try await StoreCore.open(path: path, options: options, clockJump: clockJump)
  }

  /// Formats any device as an empty store, whatever it holds: for simulated devices and RAM
  /// devices. The device stays open. Durable on return: the empty store. `environment` is the clock
  /// and the randomness, which a test that is to be repeated brings along.
  ///
  /// - Throws: `usage`, `io`.
  public static func format(
    device: any BlockDevice, options: FormatOptions,
    environment: StoreEnvironment = StoreEnvironment()
  ) async throws(StoreError) {
    try await StoreFormatter.format(device: device, options: options, environment: environment)
  }

  /// Opens the store on any device, which the store owns from here on: it closes the device when it
  /// is closed or dropped, and where opening fails. Locks, and reports of slow requests other than
  /// their count, are the business of whoever made the device. `environment` is as in
  /// `format(device:options:environment:)`.
  ///
  /// - Throws: as `open(path:options:waitForLock:clockJump:)`.
  public static func open(
    device: any BlockDevice, options: StoreOptions = StoreOptions(),
    environment: StoreEnvironment = StoreEnvironment(), clockJump: ClockJump = .hold
  ) async throws(StoreError) -> Store {
    do throws(StoreError) {
      try options.validateSocketPath()
    } catch {
      await DeviceCloser.close(device)
      throw error
    }
    return try await StoreCore.open(
      device: device, options: options, environment: environment, clockJump: clockJump)
  }

  /// What recovery of the store would read, hold and take. Writes nothing and keeps no lock: of a
  /// store in use it tells what would be if its holder died now, and may be stale.
  ///
  /// - Throws: `notFound`, `refused`, `io`, `resource`.
  public static func recoveryPlan(
    path: String, options: StoreOptions = StoreOptions()
  ) async throws(StoreError) -> RecoveryPlan {
    try options.validate()
    return try await StoreCore.recoveryPlan(path: path, options: options)
  }

  /// What the superblock and the segment table say, read without a lock: also of a damaged store
  /// and of one in use. Writes nothing.
  ///
  /// - Throws: `notFound`, `refused`, `io`.
  public static func info(path: String) async throws(StoreError) -> StoreInfo {
    try await StoreInfo.read(path: path)
  }

  /// What each segment of a store is and how much of it is live: also of a store in use. Writes
  /// nothing.
  ///
  /// The segment table and a page of each segment are read without a lock. What is live is then
  /// counted by opening the store for reading, which takes as long as recovery; while another
  /// process has it open to write, that is left out, and all of it may be stale. `options` say how
  /// the store is opened.
  ///
  /// - Throws: `notFound`, `refused`, `io`, `usage`. Where the store cannot be opened, for whatever
  ///   reason, `SegmentMap.findings` says so.
  public static func segmentMap(
    path: String, options: StoreOptions = StoreOptions()
  ) async throws(StoreError) -> SegmentMap {
    try options.validate()
    return try await SegmentMap.read(path: path, options: options)
  }
}
