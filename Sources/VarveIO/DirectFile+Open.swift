import CVarveAIO
import Glibc

extension DirectFile {
  /// Opens an existing file or block device and takes its locks.
  ///
  /// A writer opens a block device with O_EXCL, which refuses a mounted one, and takes an exclusive
  /// flock; a reader takes a shared flock. Both register in the process.
  ///
  /// - Throws: `DeviceError` with code `notFound`, `isDirectory`, `notRegularFile`, `symbolicLink`,
  ///   `permission`, `inUse`, `mounted`, `noDirectIO`, `tooSmall`, `resource` or `io`.
  public static func open(_ path: String, options: OpenOptions = OpenOptions())
    throws(DeviceError) -> DirectFile
  {
    let file = try openAnySize(PathTarget(path), path, options)
    guard file.byteCount > 0 else {
      throw DeviceError(
        .tooSmall, path: path,
        message: "\(path) has less than a page of 4096 bytes: it is not a store, or was cut short;"
          + " check the path")
    }
    try file.probeDirectIO()
    return file
  }

  /// Opens like `open`, waiting for up to `waitForLockSeconds` for whoever holds the lock.
  ///
  /// - Throws: as `open`; `inUse` when the time is over, `cancelled` when the task is cancelled.
  public static func open(
    _ path: String, options: OpenOptions = OpenOptions(), waitForLockSeconds: Double
  ) async throws(DeviceError) -> DirectFile {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(max(0, min(waitForLockSeconds, 1e9)))
    // From short waits, for a restart that is nearly through, to few attempts a second.
    var pause = Duration.milliseconds(2)
    while true {
      do throws(DeviceError) {
        return try open(path, options: options)
      } catch {
        let now = clock.now
        guard error.code == .inUse, now < deadline else { throw error }
        do {
          try await Task.sleep(for: min(pause, deadline - now), clock: clock)
        } catch {
          throw DeviceError(
            .cancelled, path: path, message: "waiting for the lock of \(path) was cancelled")
        }
        pause = min(pause * 2, .milliseconds(200))
      }
    }
  }

  /// Opens and locks what the path leads to, whatever its size.
  static func openAnySize(_ target: PathTarget, _ path: String, _ options: OpenOptions)
    throws(DeviceError) -> DirectFile
  {
    precondition(
      options.lock == .automatic || options.access == .readOnly, "a writer takes the lock")
    let isWriter = options.access == .readWrite
    let isDevice = target.status.st_mode & S_IFMT == S_IFBLK
    if isDevice, isWriter { try refuseMounted(target.status, path) }
    var flags = O_NOFOLLOW | O_NONBLOCK | (isWriter ? O_RDWR : O_RDONLY)
    if isDevice, isWriter { flags |= O_EXCL }
    var isDirect = true
    var number = openDescriptor(target.path, flags: flags | varve_open_direct_flag())
    if number == -EINVAL {
      guard options.allowBuffered else { throw noDirectIO(path) }
      isDirect = false
      number = openDescriptor(target.path, flags: flags)
    }
    guard number >= 0 else {
      // The kernel refuses a second exclusive opener of a device before a lock could.
      if number == -EBUSY {
        throw inUse(path, holder: KernelTables.flockHolder(target.status)?.processID)
      }
      throw .system("open", path: path, errorNumber: -number)
    }
    let descriptor = Descriptor(adopting: number)
    let (status, errorNumber) = descriptor.status()
    guard errorNumber == 0 else { throw .system("open", path: path, errorNumber: errorNumber) }
    try PathTarget.checkKind(status, path)
    guard FileIdentity(status) == FileIdentity(target.status) else {
      throw DeviceError(
        .io, path: path, message: "\(path) was exchanged while it was opened: try again")
    }
    _ = varve_clear_nonblocking(number)
    return try finishOpen(
      path, target.resolvedTarget, descriptor, status, options, isDirect: isDirect)
  }

  /// Locks an open descriptor whose kind has been checked, and measures it.
  static func finishOpen(
    _ path: String, _ resolvedTarget: String?, _ descriptor: consuming Descriptor,
    _ status: stat, _ options: OpenOptions, isDirect: Bool
  ) throws(DeviceError) -> DirectFile {
    let isDevice = status.st_mode & S_IFMT == S_IFBLK
    var descriptor = descriptor
    var lease: OpenFileLease?
    if options.lock == .automatic {
      let isWriter = options.access == .readWrite
      lease = OpenFileRegistry.register(FileIdentity(status), isWriter: isWriter)
      guard lease != nil else { throw inUse(path, holder: getpid()) }
      let errorNumber = descriptor.lock(isWriter ? LOCK_EX : LOCK_SH)
      if errorNumber == EWOULDBLOCK {
        throw inUse(path, holder: KernelTables.flockHolder(status)?.processID)
      }
      guard errorNumber == 0 else { throw .system("lock", path: path, errorNumber: errorNumber) }
    }
    let byteCount = try measure(descriptor.rawValue, status, path)
    if isDevice { try checkSector(descriptor.rawValue, path) }
    return DirectFile(
      path: path, resolvedTarget: resolvedTarget,
      kind: isDevice ? .blockDevice : .regularFile, access: options.access, isDirect: isDirect,
      byteCount: byteCount, descriptor: descriptor, lease: lease)
  }

  // MARK: Helpers

  /// The bytes of an open file, or of an open block device.
  static func measure(
    _ number: Int32, _ status: stat, _ path: String
  ) throws(DeviceError) -> UInt64 {
    guard status.st_mode & S_IFMT == S_IFBLK else { return UInt64(clamping: status.st_size) }
    var byteCount: UInt64 = 0
    // SAFETY: the shim writes one integer.
    let result = unsafe varve_block_device_byte_count(number, &byteCount)
    guard result == 0 else { throw .system("measure", path: path, errorNumber: -result) }
    return byteCount
  }

  private static func checkSector(_ number: Int32, _ path: String) throws(DeviceError) {
    var sectorByteCount: UInt32 = 512
    // SAFETY: the shim writes one integer.
    _ = unsafe varve_block_device_sector_byte_count(number, &sectorByteCount)
    guard sectorByteCount > 4096 else { return }
    throw DeviceError(
      .unsupported, path: path,
      message: "\(path) has sectors of \(sectorByteCount) bytes: a store needs 4096 or less")
  }

  private static func refuseMounted(_ status: stat, _ path: String) throws(DeviceError) {
    guard let point = KernelTables.mountPoint(ofDevice: UInt64(status.st_rdev)) else { return }
    throw DeviceError(
      .mounted, path: path, errorNumber: EBUSY,
      message: "\(path) is mounted at \(point): unmount it first, or choose another device")
  }

  private static func inUse(_ path: String, holder: Int32?) -> DeviceError {
    let who =
      holder.map { $0 == getpid() ? "this process" : "process \($0)" }
      ?? "another process or the kernel"
    return DeviceError(
      .inUse, path: path, errorNumber: EBUSY,
      message: "\(path) is in use by \(who): close it there, or wait for the lock",
      holderProcessID: holder)
  }

  static func noDirectIO(_ path: String) -> DeviceError {
    DeviceError(
      .noDirectIO, path: path, errorNumber: EINVAL,
      message: "\(path) lies on a file system without direct I/O: put the store on ext4, xfs or a"
        + " block device, or allow buffered I/O explicitly")
  }

  /// Reads the first page: some file systems accept the flag and refuse the I/O.
  borrowing func probeDirectIO() throws(DeviceError) {
    guard isDirect, byteCount > 0 else { return }
    let page = AlignedMemory(byteCount: 4096)
    // SAFETY: reads at most as many bytes as the page has.
    let result = unsafe varve_read_at(descriptorNumber, page.base, page.byteCount, 0)
    if result == -Int64(EINVAL) { throw Self.noDirectIO(path) }
    // Any other error is for whoever reads that page: a store survives the loss of its first.
  }
}
