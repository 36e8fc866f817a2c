// Creating and opening: what is accepted, what is refused, and what is left behind.

import Glibc
import Testing

@testable import VarveIO

@Suite struct DirectFileTests {
  static let small = CreateOptions(byteCount: 65536)

  func status(_ path: String) -> stat {
    var status = stat()
    lstat(path, &status)
    return status
  }

  // MARK: Create

  @Test func createMakesAPrivateZeroFilledFile() throws {
    let folder = try TestFolder()
    var seen: [UInt64] = []
    let byteCount: UInt64 = 9 << 20
    let file = try DirectFile.create(
      folder.file(), options: CreateOptions(byteCount: byteCount + 100)
    ) { done, total in
      #expect(total == byteCount)
      seen.append(done)
    }
    #expect(seen == [0, 4 << 20, 8 << 20, byteCount])
    #expect(file.byteCount == byteCount && file.isDirect && file.kind == .regularFile)
    try file.close()
    let status = status(folder.file())
    #expect(status.st_mode == S_IFREG | 0o600)
    #expect(status.st_size == Int(byteCount))
    // Every block is allocated; whether the extents are written is what filefrag shows.
    #expect(status.st_blocks * 512 >= Int(byteCount))
    let (found, output) = run("filefrag -v \(folder.file())")
    if found == 0 { #expect(!output.contains("unwritten")) }
  }

  @Test func theModeIsPrivateWhateverTheUmask() async throws {
    // The umask belongs to the process, so it is changed in one of its own.
    await #expect(processExitsWith: .success) {
      for mask: mode_t in [0, 0o777] {
        umask(mask)
        let path = "/var/tmp/varve-io-umask-\(getpid())-\(mask)"
        try DirectFile.create(path, options: CreateOptions(byteCount: 4096)).close()
        var status = stat()
        let isPrivate = lstat(path, &status) == 0 && status.st_mode & 0o7777 == 0o600
        unlink(path)
        if !isPrivate { exit(1) }
      }
    }
  }

  @Test func aCancelledTaskEndsTheFillAndRemovesTheFile() async throws {
    let folder = try TestFolder()
    let path = folder.file()
    let error = await Task { () -> DeviceError? in
      do throws(DeviceError) {
        let file = try DirectFile.create(path, options: CreateOptions(byteCount: 12 << 20)) {
          done, _ in
          if done > 0 { withUnsafeCurrentTask { $0?.cancel() } }
        }
        try file.close()
        return nil
      } catch {
        return error
      }
    }.value
    #expect(error?.code == .cancelled)
    var status = stat()
    #expect(lstat(path, &status) != 0)
  }

  @Test func aMissingFolderIsNamed() throws {
    let error = try deviceError {
      try DirectFile.create("/var/tmp/varve-none/deeper/store", options: Self.small)
    }
    #expect(error.code == .notFound)
    #expect(error.message.contains("there is no directory /var/tmp/varve-none/deeper"))
  }

  @Test func createRefusesWhatExists() throws {
    let folder = try TestFolder()
    let path = try folder.write("store", Array("precious".utf8))
    #expect(try deviceError { try DirectFile.create(path, options: Self.small) }.code == .exists)
    #expect(status(path).st_size == 8)
  }

  @Test func forceReformatsAFileInPlace() throws {
    let folder = try TestFolder()
    var bytes = [UInt8](repeating: 0xFF, count: 200_000)
    bytes.replaceSubrange(0..<8, with: DeviceSignature.superblockMagic)
    let path = try folder.write("store", bytes)
    let before = status(path)
    var options = Self.small
    options.force = true
    options.superblockByteOffsets = { [0, $0 - 4096] }
    let file = try DirectFile.create(path, options: options)
    #expect(file.byteCount == 65536)
    let page = Buffer(65536, filledWith: 1)
    try file.read(
      into: UnsafeMutableRawBufferPointer(start: page.base, count: 65536), byteOffset: 0)
    #expect(page.isFilled(with: 0, byteCount: 65536))
    try file.close()
    let after = status(path)
    #expect(after.st_ino == before.st_ino && after.st_size == 65536)
    #expect(after.st_mode & 0o7777 == 0o600)
  }

  @Test func forceKeepsAnOpenStore() throws {
    let folder = try TestFolder()
    let holder = try DirectFile.create(folder.file(), options: Self.small)
    var options = Self.small
    options.force = true
    #expect(
      try deviceError { try DirectFile.create(folder.file(), options: options) }.code == .inUse)
    try holder.close()
  }

  @Test func aFailedCreateLeavesNothing() throws {
    let folder = try TestFolder()
    let huge = CreateOptions(byteCount: 1 << 50)
    let code = try deviceError { try DirectFile.create(folder.file(), options: huge) }.code
    #expect(code == .noSpace || code == .tooLarge)
    #expect(access(folder.file(), F_OK) != 0)
    let none = CreateOptions(byteCount: 4095)
    #expect(
      try deviceError { try DirectFile.create(folder.file(), options: none) }.code == .tooSmall)
    let lost = folder.file("absent/store")
    let error = try deviceError { try DirectFile.create(lost, options: Self.small) }
    #expect(error.code == .notFound && error.message.contains(lost))
  }

  // MARK: What is not a store

  @Test(arguments: [false, true]) func otherKindsAreRefused(_ isCreate: Bool) throws {
    let folder = try TestFolder()
    let target = try folder.write("target", Array(repeating: 1, count: 8192))
    #expect(mkdir(folder.file("folder"), 0o700) == 0)
    #expect(mkfifo(folder.file("fifo"), 0o600) == 0)
    #expect(symlink(target, folder.file("link")) == 0)
    #expect(symlink(folder.file("nothing"), folder.file("dangling")) == 0)
    let expected: [(String, DeviceError.Code)] = [
      (folder.file("folder"), .isDirectory), (folder.file("fifo"), .notRegularFile),
      (folder.file("link"), .symbolicLink), (folder.file("dangling"), .symbolicLink),
      ("/dev/null", .notRegularFile), ("/dev/stdin", .symbolicLink), ("", .notFound),
    ]
    for (path, code) in expected {
      let error = try deviceError {
        () throws -> DirectFile in
        var options = Self.small
        options.force = true
        return isCreate
          ? try DirectFile.create(path, options: options) : try DirectFile.open(path)
      }
      #expect(error.code == code, "\(path): \(error)")
    }
    #expect(status(target).st_size == 8192)
    #expect(access(folder.file("nothing"), F_OK) != 0)
  }

  @Test func openNamesCauseAndRemedy() throws {
    let folder = try TestFolder()
    let missing = try deviceError { try DirectFile.open(folder.file()) }
    #expect(missing.code == .notFound && missing.errorNumber == ENOENT)
    #expect(missing.description.contains(folder.file()))
    let empty = try folder.write("empty", [])
    #expect(try deviceError { try DirectFile.open(empty) }.code == .tooSmall)
    let tiny = try folder.write("tiny", Array(repeating: 1, count: 4095))
    #expect(try deviceError { try DirectFile.open(tiny) }.code == .tooSmall)
  }

  // MARK: Locks

  @Test func lockRules() throws {
    let folder = try TestFolder()
    let path = folder.file()
    let (read, write) = (OpenOptions(access: .readOnly), OpenOptions())
    let writer = try DirectFile.create(path, options: Self.small)
    let refused = try deviceError { try DirectFile.open(path, options: write) }
    #expect(refused.code == .inUse && refused.holderProcessID == getpid())
    #expect(try deviceError { try DirectFile.open(path, options: read) }.code == .inUse)
    // By another name, it is the same file.
    #expect(link(path, folder.file("other")) == 0)
    #expect(try deviceError { try DirectFile.open(folder.file("other")) }.code == .inUse)
    let looker = try DirectFile.open(path, options: OpenOptions(access: .readOnly, lock: .none))
    try looker.close()
    // Closing the unlocked descriptor has not dropped the writer's lock.
    #expect(try deviceError { try DirectFile.open(path, options: write) }.code == .inUse)
    #expect(run("flock --nonblock --shared \(path) true").status != 0)
    try writer.close()
    let first = try DirectFile.open(path, options: read)
    let second = try DirectFile.open(path, options: read)
    #expect(try deviceError { try DirectFile.open(path, options: write) }.code == .inUse)
    try first.close()
    #expect(try deviceError { try DirectFile.open(path, options: write) }.code == .inUse)
    try second.close()
    try DirectFile.open(path, options: write).close()
  }

  @Test func anotherProcessIsRefusedAndNamed() async throws {
    let folder = try TestFolder()
    let path = folder.file()
    try DirectFile.create(path, options: Self.small).close()
    // The other process says when it holds the lock, and lets go when its input ends.
    guard
      let other = popen(
        "flock --exclusive \(path) sh -c 'echo $$ > \(path).held; cat > /dev/null'", "w")
    else { throw Failure("popen failed") }
    while status(path + ".held").st_size == 0 { await Task.yield() }
    let error = try deviceError { try DirectFile.open(path) }
    #expect(error.code == .inUse)
    let holder = try #require(error.holderProcessID)
    #expect(holder != getpid() && holder > 0 && error.message.contains("\(holder)"))
    async let waited = DirectFile.openAndClose(path, waitForLockSeconds: 600)
    pclose(other)
    #expect(try await waited == 65536)
  }

  @Test func waitingEndsWithTheTimeOrTheTask() async throws {
    let folder = try TestFolder()
    let holder = try DirectFile.create(folder.file(), options: Self.small)
    do {
      _ = try await DirectFile.open(folder.file(), waitForLockSeconds: 0.01)
      Issue.record("the lock was held")
    } catch { #expect(error.code == .inUse) }
    let path = folder.file()
    let task = Task { () async throws -> UInt64 in
      try await DirectFile.openAndClose(path, waitForLockSeconds: 600)
    }
    task.cancel()
    do {
      _ = try await task.value
      Issue.record("the lock was held")
    } catch { #expect((error as? DeviceError)?.code == .cancelled) }
    try holder.close()
  }

  // MARK: File systems

  @Test func fileSystemsAreJudged() throws {
    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: Self.small)
    #expect(!file.fileSystem.name.isEmpty)
    try file.close()
    for (magic, name) in [
      (0x0102_1994, "tmpfs"), (0x8584_58F6, "ramfs"), (0x794C_7630, "overlayfs"), (0x6969, "nfs"),
      (0xFF53_4D42, "cifs"), (0x6573_5546, "fuse"),
    ] as [(UInt64, String)] {
      let kind = FileSystemKind(magic: magic)
      #expect(kind.name == name && kind.warning != nil)
    }
    #expect(FileSystemKind(magic: 0xEF53).warning == nil)
    #expect(FileSystemKind(magic: 0x1234).name == "0x1234")
  }

  @Test(.enabled(if: FileSystemKind.isMemory("/dev/shm"), "/dev/shm is no tmpfs"))
  func tmpfsWarnsOrIsRefused() throws {
    let path = "/dev/shm/varve-io-\(getpid())"
    var options = Self.small
    do throws(DeviceError) {
      try DirectFile.create(path, options: options).close()
      unlink(path)
    } catch {
      #expect(error.code == .noDirectIO && error.message.contains("buffered"))
      #expect(access(path, F_OK) != 0)
    }
    options.allowBuffered = true
    let file = try DirectFile.create(path, options: options)
    defer { unlink(path) }
    let opened = try Devices.start(file, engine: .threads)
    #expect(opened.warnings.contains { $0.contains("tmpfs") })
    opened.device.close()
  }
}

extension DirectFile {
  /// An owned file cannot leave a task: this opens, closes and returns the size.
  static func openAndClose(_ path: String, waitForLockSeconds: Double) async throws -> UInt64 {
    let file = try await open(path, waitForLockSeconds: waitForLockSeconds)
    let byteCount = file.byteCount
    try file.close()
    return byteCount
  }
}

extension FileSystemKind {
  static func isMemory(_ path: String) -> Bool {
    let descriptor = Glibc.open(path, O_RDONLY)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return of(descriptor: descriptor).name == "tmpfs"
  }
}
