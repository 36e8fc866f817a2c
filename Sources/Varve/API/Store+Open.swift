import VarveIO

extension Store {
  /// Formats a file or a block device as an empty store and leaves it closed.
  ///
  /// A file is created with mode 0600, preallocated and filled with zeros, so that later writes
  /// find their space; a device is not filled. What exists is refused unless `options.force`; a
  /// mounted device always is. Durable on return: the store and its directory entry.
  /// - Throws: `refused`, `usage`, `inUse`, `resource`, `io`, `notFound`.
  public static func create(path: String, options: FormatOptions) async throws(StoreError) {
    try await StoreFormatter.create(path: path, options: options)
  }

  /// Opens a store, recovering it where it was not closed.
  ///
  /// - Throws: `notFound`, `refused`, `inUse`, `resource`, `io`; `corrupt` where damage of unknown
  ///   extent needs `allowDegraded`.
  public static func open(
    path: String, options: StoreOptions = StoreOptions()
  ) async throws(StoreError) -> Store {
    try await StoreCore.open(path: path, options: options)
  }

  /// Formats any device as an empty store: for simulated devices and RAM devices.
  ///
  /// - Throws: `usage`, `io`.
  public static func format(
    device: any BlockDevice, options: FormatOptions
  ) async throws(StoreError) {
    try await StoreFormatter.format(
      device: device, options: options, environment: StoreEnvironment())
  }

  /// Opens the store on any device. The store closes the device when it is closed.
  ///
  /// - Throws: as `open(path:options:)`.
  public static func open(
    device: any BlockDevice, options: StoreOptions = StoreOptions()
  ) async throws(StoreError) -> Store {
    try await StoreCore.open(device: device, options: options, environment: StoreEnvironment())
  }

  /// What recovery of the store would read, hold and take. Writes nothing.
  ///
  /// - Throws: as `open(path:options:)`.
  public static func recoveryPlan(
    path: String, options: StoreOptions = StoreOptions()
  ) async throws(StoreError) -> RecoveryPlan {
    try await StoreCore.recoveryPlan(path: path, options: options)
  }

  /// What the superblock and the segment table say, read without a lock: also of a damaged store
  /// and of one in use. Writes nothing.
  ///
  /// - Throws: `notFound`, `refused`, `io`.
  public static func info(path: String) async throws(StoreError) -> StoreInfo {
    try await StoreInfo.read(path: path)
  }
}
