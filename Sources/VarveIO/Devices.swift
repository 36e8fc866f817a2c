/// Which engine drives a device.
public enum DeviceEngine: String, Sendable, CaseIterable {
  /// Linux AIO, or the thread pool where the kernel or a policy does not allow AIO.
  case automatic
  /// Linux AIO.
  case linuxAIO
  /// A pool of blocking threads.
  case threads
  /// io_uring, only where it is asked for: it needs the package trait `IOUring`, and containers
  /// often forbid it.
  case uring
}

/// A device that has been started, and what is to be said about it.
public struct OpenedDevice: Sendable {
  /// The device.
  public let device: any InstrumentedDevice
  /// The engine that drives it; never `automatic`.
  public let engine: DeviceEngine
  /// What lies at the path.
  public let kind: FileKind
  /// Where a link under /dev led, or nil.
  public let resolvedTarget: String?
  /// What a person should know: an unfit file system, buffered I/O, an engine that stepped in.
  public let warnings: [String]
}

/// Where devices come from.
public enum Devices {
  /// Drives an open file.
  ///
  /// - Parameters:
  ///   - file: The file, which is closed with the device, or when this fails.
  ///   - engine: The engine; `automatic` is AIO, and threads where AIO is not allowed, never where
  ///     AIO requests are merely used up.
  ///   - options: How the engine drives it.
  /// - Returns: the device, which the caller closes.
  /// - Throws: `DeviceError` with code `resource` when AIO requests, threads or descriptors are
  ///   used up, and `unsupported` where the engine asked for is not allowed.
  public static func start(
    _ file: consuming DirectFile, engine: DeviceEngine = .automatic,
    options: DeviceOptions = DeviceOptions()
  ) throws(DeviceError) -> OpenedDevice {
    var warnings: [String] = []
    if let warning = file.fileSystem.warning {
      warnings.append("\(file.path) lies on \(file.fileSystem): \(warning)")
    }
    if !file.isDirect {
      warnings.append("\(file.path) is used through the page cache, which caches twice")
    }
    let (kind, resolvedTarget) = (file.kind, file.resolvedTarget)
    if let resolvedTarget { warnings.append("\(file.path) leads to \(resolvedTarget)") }
    let (device, driver) = try start(
      SharedFile(file), engine: engine, options: options, warnings: &warnings)
    return OpenedDevice(
      device: device, engine: driver, kind: kind, resolvedTarget: resolvedTarget,
      warnings: warnings)
  }

  private static func start(
    _ file: SharedFile, engine: DeviceEngine, options: DeviceOptions, warnings: inout [String]
  ) throws(DeviceError) -> (any InstrumentedDevice, DeviceEngine) {
    switch engine {
    case .linuxAIO: return (try AIODevice(sharing: file, options: options), .linuxAIO)
    case .threads: return (try ThreadPoolDevice(sharing: file, options: options), .threads)
    case .uring: return (try IOUringDevice(sharing: file, options: options), .uring)
    case .automatic:
      do throws(DeviceError) {
        return (try AIODevice(sharing: file, options: options), .linuxAIO)
      } catch {
        guard error.code == .unsupported else { throw error }
        warnings.append("a pool of blocking threads steps in: \(error.message)")
        return (try ThreadPoolDevice(sharing: file, options: options), .threads)
      }
    }
  }

  /// Opens an existing file or block device and drives it.
  ///
  /// - Throws: `DeviceError`, as `DirectFile.open` and `start` do.
  public static func open(
    _ path: String, openOptions: OpenOptions = OpenOptions(), waitForLockSeconds: Double = 0,
    engine: DeviceEngine = .automatic, options: DeviceOptions = DeviceOptions()
  ) async throws(DeviceError) -> OpenedDevice {
    let file = try await DirectFile.open(
      path, options: openOptions, waitForLockSeconds: waitForLockSeconds)
    return try start(file, engine: engine, options: options)
  }
}
