import ArgumentParser
import Console
import Varve
import VarveIO

struct CreateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create",
    abstract: "Makes an empty store: a file, or a device that is formatted.",
    usage: "kvctl create STORE --size SIZE [--segment-size SIZE] [--label TEXT] [--force]",
    discussion: """
      EXAMPLES:
        kvctl create store.varve --size 64MiB
        kvctl create /dev/loop0 --label carts

      A file is made with mode 0600, preallocated and filled with zeros. What exists,
      and a device that carries a signature, is refused unless --force is given.
      SIZE is at least 2MiB, in bytes or with KiB, MiB, GiB or TiB. A signal (such as
      control-C) while the file is filled removes it.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Option(
    parsing: .unconditional,
    help: "The size of the store, such as 64MiB; may be left out for a device.",
    transform: ByteSize.argument)
  var size: ByteSize?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The size of a segment: a power of two from 32KiB to 64MiB.", valueName: "size"),
    transform: ByteSize.argument)
  var segmentSize: ByteSize?
  @Option(help: "A name for people, at most 64 bytes.")
  var label = ""
  @Flag(help: "Destroy what is there.")
  var force = false
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let path = try StorePath.split(arguments).store
    guard size != nil || PathBytes.isBlockDevice(Array(path.utf8)) else {
      throw ToolError.usage("--size is missing: only a device has a size of its own")
    }
    let segmentByteCount = try segmentSize.map { size throws(ToolError) in
      guard let byteCount = Int(exactly: size.byteCount), byteCount <= 64 << 20 else {
        throw .usage("--segment-size must be a power of two from 32KiB to 64MiB")
      }
      return byteCount
    }
    let meter = ProgressMeter("filling", isShown: shared.showsProgress)
    let options = FormatOptions(
      byteCount: size?.byteCount, segmentByteCount: segmentByteCount, label: label, force: force
    ) { done, total in
      meter.update(byteCountDone: done, byteCount: total)
      // Called within the task that fills the file: cancelling it removes the file.
      if Interruption.signal != nil { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
    }
    Interruption.watch()
    let info: StoreInfo
    do {
      defer { meter.finish() }
      try await Store.create(path: path, options: options)
      info = try await Store.info(path: path)
    } catch {
      guard error.code == .cancelled, Interruption.signal != nil else {
        throw ToolError(error, subject: path)
      }
      throw ToolError.interrupted(error.message)
    }
    warnOfFileSystem(path)
    if shared.json {
      try ByteOutput.standard.writeLine(Description.json(info, path: path))
    } else if !shared.isQuiet {
      try ByteOutput.standard.writeLine(
        "created \(path): \(ByteSize(info.deviceByteCount)), \(info.segmentCount) segments of "
          + "\(ByteSize(UInt64(info.segmentByteCount)))")
    }
  }

  /// Says where a store does not belong; opening it says so again.
  private func warnOfFileSystem(_ path: String) {
    guard
      let file = try? DirectFile.open(
        path, options: OpenOptions(access: .readOnly, lock: .none, allowBuffered: true))
    else { return }
    if let warning = file.fileSystem.warning {
      shared.remark("warning: \(path) lies on \(file.fileSystem): \(warning)")
    }
    try? file.close()
  }
}
