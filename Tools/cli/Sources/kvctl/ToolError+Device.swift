import Console
import VarveIO

extension ToolError {
  /// An error of the I/O layer, in the terms of the exit codes; `path` is what the person named,
  /// where that is not what was opened.
  init(_ error: DeviceError, naming path: String? = nil) {
    let (status, code): (ExitStatus, String) =
      switch error.code {
      case .inUse: (.inUse, "inUse")
      case .resource: (.resource, "resource")
      case .notFound: (.refused, "notFound")
      case .io, .noSpace, .cancelled: (.failure, "io")
      case .tooLarge, .sizeMissing, .unsupported: (.usage, "usage")
      default: (.refused, "refused")
      }
    // What the library calls a remedy has a name on the command line.
    let remedy =
      switch error.code {
      case .noDirectIO: " (--buffered)"
      case .inUse: " (--wait SECONDS)"
      default: ""
      }
    let message = path.map { error.message.replacing(error.path, with: $0) } ?? error.message
    self.init(status, code: code, message + remedy)
  }

  /// A request that failed while a device was measured.
  init(_ error: IOError, path: String) {
    self.init(
      .failure, code: "io",
      "\(path): a \(error.operation) of \(error.byteCount) bytes at byte \(error.byteOffset)"
        + " failed: \(ToolError.reason(error.errorNumber)): check the device and the kernel log",
      byteOffset: error.byteOffset)
  }
}
