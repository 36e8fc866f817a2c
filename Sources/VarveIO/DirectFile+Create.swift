// Creating a file and taking over an existing file or device for a new format. The store's own
// format is written afterwards, its superblock last: whatever fails or is killed in here leaves
// nothing, or something that is not a store.

import CVarveAIO
import Glibc

extension DirectFile {
  /// Creates a file, allocated and zero-filled to written extents, or prepares an existing file or
  /// block device for a new format. The file is open for writing, locked, and durable, its name in
  /// the directory included. Its mode is 0600 whatever the umask.
  ///
  /// A device is not zero-filled; with `force` its first and last MiB are, and old superblocks.
  /// Where the task is cancelled, the filling of a file ends early.
  /// - Parameters:
  ///   - path: Where; symbolic links are refused except under /dev.
  ///   - options: How large, and whether something may be overwritten.
  ///   - progress: Called with the bytes filled and the bytes to fill.
  /// - Returns: the open file, of which the caller writes the format.
  /// - Throws: `DeviceError` with code `exists`, `holdsData`, `mounted`, `inUse`, `noSpace`,
  ///   `tooSmall`, `tooLarge`, `sizeMissing`, `noDirectIO`, `cancelled`, those of `open`, or `io`.
  ///   A file that was made by the call is removed again.
  public static func create(
    _ path: String, options: CreateOptions, progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(DeviceError) -> DirectFile {
    let target: PathTarget
    do throws(DeviceError) {
      target = try PathTarget(path)
    } catch {
      guard error.code == .notFound, error.errorNumber == ENOENT else { throw error }
      return try createFile(path, options, progress)
    }
    if target.status.st_mode & S_IFMT == S_IFBLK { return try takeDevice(target, path, options) }
    guard options.force else {
      throw DeviceError(
        .exists, path: path, errorNumber: EEXIST,
        message: "\(path) exists: choose another path, or force a new format, which destroys what"
          + " it holds")
    }
    return try takeFile(target, path, options, progress)
  }

  // MARK: A new file

  private static func createFile(
    _ path: String, _ options: CreateOptions, _ progress: (UInt64, UInt64) -> Void
  ) throws(DeviceError) -> DirectFile {
    guard let wanted = options.byteCount else {
      throw DeviceError(
        .sizeMissing, path: path, message: "\(path) does not exist: say how large to make it")
    }
    let byteCount = try fileByteCount(path, wanted)
    let folder = try openFolder(of: path)
    let name = PathTarget.name(of: path)
    // Direct I/O is switched on afterwards: open(O_CREAT|O_DIRECT) may fail and leave a file.
    let number = openDescriptor(
      name, in: folder.rawValue, flags: O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, mode: 0o600)
    guard number >= 0 else { throw .system("create", path: path, errorNumber: -number) }
    let descriptor = Descriptor(adopting: number)
    let (status, errorNumber) = descriptor.status()
    do throws(DeviceError) {
      guard errorNumber == 0, fchmod(number, 0o600) == 0 else {
        throw .system("create", path: path, errorNumber: errorNumber == 0 ? errno : errorNumber)
      }
      try PathTarget.checkKind(status, path)
      let isDirect = try switchToDirect(number, path, options)
      var file = try finishOpen(
        path, nil, descriptor, status, OpenOptions(), isDirect: isDirect)
      try file.allocate(byteCount)
      file.byteCount = byteCount
      try file.probeDirectIO()
      try file.zero(from: 0, to: byteCount, progress)
      try file.synchronize(with: folder)
      return file
    } catch {
      // Only what this call made is removed: the name may lead elsewhere by now.
      var now = stat()
      // SAFETY: fstatat writes one stat; the name is a String that lives during the call.
      if unsafe fstatat(folder.rawValue, name, &now, AT_SYMLINK_NOFOLLOW) == 0,
        FileIdentity(now) == FileIdentity(status)
      {
        _ = unsafe unlinkat(folder.rawValue, name, 0)
      }
      throw error
    }
  }

  private static func switchToDirect(_ number: Int32, _ path: String, _ options: CreateOptions)
    throws(DeviceError) -> Bool
  {
    let result = varve_set_direct(number)
    if result == 0 { return true }
    guard result == -EINVAL, options.allowBuffered else {
      throw result == -EINVAL
        ? noDirectIO(path) : .system("create", path: path, errorNumber: -result)
    }
    return false
  }

  // MARK: An existing file

  private static func takeFile(
    _ target: PathTarget, _ path: String, _ options: CreateOptions,
    _ progress: (UInt64, UInt64) -> Void
  ) throws(DeviceError) -> DirectFile {
    var file = try openAnySize(target, path, OpenOptions(allowBuffered: options.allowBuffered))
    let byteCount = try fileByteCount(path, options.byteCount ?? file.byteCount)
    try file.probeDirectIO()
    // A mode wider than 0600 is narrowed where the file is ours.
    _ = fchmod(file.descriptorNumber, 0o600)
    // Space first: a full file system leaves the old store as it is.
    try file.allocate(byteCount)
    let oldOffsets = options.superblockByteOffsets(file.byteCount)
    // DURABILITY: the old superblocks are gone before the body they describe is touched, so that a
    // crash from here on leaves no store that opens and misses its records.
    let offsets = oldOffsets + options.superblockByteOffsets(byteCount)
    try file.invalidate(offsets, below: file.byteCount)
    guard ftruncate(file.descriptorNumber, Int(byteCount)) == 0 else {
      throw .system("resize", path: path, errorNumber: errno)
    }
    file.byteCount = byteCount
    try file.zero(from: 0, to: byteCount, progress)
    try file.synchronize(with: openFolder(of: path))
    return file
  }

  // MARK: A device

  private static func takeDevice(
    _ target: PathTarget, _ path: String, _ options: CreateOptions
  ) throws(DeviceError) -> DirectFile {
    var file = try openAnySize(target, path, OpenOptions(allowBuffered: options.allowBuffered))
    let deviceByteCount = file.byteCount
    let byteCount = (options.byteCount ?? deviceByteCount) & ~4095
    guard byteCount >= 4096 else { throw tooSmall(path, byteCount) }
    guard byteCount <= deviceByteCount else {
      throw DeviceError(
        .tooLarge, path: path,
        message: "\(path) has \(deviceByteCount) bytes, fewer than the \(byteCount) asked for")
    }
    try file.probeDirectIO()
    let offsets =
      options.superblockByteOffsets(deviceByteCount) + options.superblockByteOffsets(byteCount)
    if options.force {
      try file.invalidate(offsets, below: deviceByteCount)
      let edge = min(DeviceSignature.edgeByteCount, deviceByteCount)
      try file.zero(from: 0, to: edge) { _, _ in }
      try file.zero(from: deviceByteCount - edge, to: deviceByteCount) { _, _ in }
      try file.flush()
    } else if let found = try file.signature(superblockByteOffsets: offsets) {
      throw DeviceError(
        .holdsData, path: path,
        message: "\(path) holds \(found): check that it is the right device, then force the"
          + " format, which destroys what it holds")
    }
    file.byteCount = byteCount
    return file
  }

  // MARK: Steps

  /// The bytes filled by one write: large enough for full bandwidth.
  private static var fillByteCount: Int { 4 << 20 }

  /// Writes zeros from one multiple of 4096 to another.
  private borrowing func zero(
    from start: UInt64, to end: UInt64, _ progress: (UInt64, UInt64) -> Void
  ) throws(DeviceError) {
    let isDone = try fill(from: start, to: end) { done, total in
      progress(done, total)
      return Task.isCancelled
    }
    guard !isDone else { return }
    throw DeviceError(
      .cancelled, path: path,
      message: "filling \(path) was cancelled: a file that was made for it is removed, one that"
        + " was there is no store any more")
  }

  /// Writes zeros from one multiple of 4096 to another, unless `progress` says that it shall end:
  /// then false.
  borrowing func fill(
    from start: UInt64, to end: UInt64, _ progress: (UInt64, UInt64) -> Bool
  ) throws(DeviceError) -> Bool {
    let zeros = AlignedMemory(byteCount: min(Self.fillByteCount, Int(end - start)))
    var position = start
    var shallEnd = progress(0, end - start)
    while position < end {
      // Only between the writes of a long fill: a few pages are written whole.
      if position > start, shallEnd { return false }
      let count = min(zeros.byteCount, Int(end - position))
      // SAFETY: `count` is at most the length of the zeros.
      try unsafe write(
        UnsafeRawBufferPointer(start: zeros.base, count: count), byteOffset: position)
      position += UInt64(count)
      shallEnd = progress(position - start, end - start)
    }
    return true
  }

  /// Overwrites one page at each place, and flushes.
  private borrowing func invalidate(_ byteOffsets: [UInt64], below limit: UInt64)
    throws(DeviceError)
  {
    for byteOffset in Set(byteOffsets).sorted() {
      guard byteOffset % 4096 == 0, limit >= 4096, byteOffset <= limit - 4096 else { continue }
      try zero(from: byteOffset, to: byteOffset + 4096) { _, _ in }
    }
    try flush()
  }

  /// Allocates the blocks of the file, so that a full file system is found out at once.
  private borrowing func allocate(_ byteCount: UInt64) throws(DeviceError) {
    try allocate(0..<byteCount)
  }

  /// Allocates the blocks of a range, which makes the file as long.
  borrowing func allocate(_ range: Range<UInt64>) throws(DeviceError) {
    let byteCount = range.upperBound - range.lowerBound
    let result = varve_allocate(descriptorNumber, Int64(range.lowerBound), Int64(byteCount))
    // Without fallocate the zero-fill allocates.
    guard result != 0, result != -EOPNOTSUPP else { return }
    throw .system("allocate \(byteCount) bytes for", path: path, errorNumber: -result)
  }

  private borrowing func synchronize(with folder: borrowing Descriptor) throws(DeviceError) {
    // DURABILITY: extents and length first, then the name: a store that was reported as created
    // is found after a power loss.
    guard fsync(descriptorNumber) == 0, fsync(folder.rawValue) == 0 else {
      throw .system("flush", path: path, errorNumber: errno)
    }
  }

  private static func openFolder(of path: String) throws(DeviceError) -> Descriptor {
    let folder = PathTarget.folder(of: path)
    let number = openDescriptor(folder, flags: O_RDONLY | O_DIRECTORY)
    guard number >= 0 else {
      guard number == -ENOENT else {
        throw .system("open the directory of", path: path, errorNumber: -number)
      }
      throw DeviceError(
        .notFound, path: path, errorNumber: ENOENT,
        message: "\(path) cannot be made: there is no directory \(folder); make it first"
          + " (mkdir -p)")
    }
    return Descriptor(adopting: number)
  }

  private static func fileByteCount(_ path: String, _ byteCount: UInt64)
    throws(DeviceError) -> UInt64
  {
    let rounded = byteCount & ~4095
    guard rounded >= 4096 else { throw tooSmall(path, byteCount) }
    guard rounded <= UInt64(Int64.max) else {
      throw .system("create", path: path, errorNumber: EFBIG)
    }
    return rounded
  }

  private static func tooSmall(_ path: String, _ byteCount: UInt64) -> DeviceError {
    DeviceError(
      .tooSmall, path: path,
      message: "\(byteCount) bytes are too few for a store at \(path): name a larger size")
  }
}
