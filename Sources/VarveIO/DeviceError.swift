// Why a file or device could not be opened, created or driven. The message always names the cause
// and what the reader can do about it; the code is what programs decide on.

/// A failure to open, create or set up a file or device.
public struct DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong, for programs. More codes may be added.
  public enum Code: String, Sendable, CaseIterable {
    /// Nothing lies at the path.
    case notFound
    /// The path is taken and nobody asked to reformat what lies there.
    case exists
    /// The file or device carries a signature or data, and nobody asked to overwrite it.
    case holdsData
    /// The path leads to a directory.
    case isDirectory
    /// The path leads to something that is neither a regular file nor a block device.
    case notRegularFile
    /// The path is a symbolic link that is not followed.
    case symbolicLink
    /// The operating system refuses access.
    case permission
    /// Another opener, in this process or another, holds the file or device.
    case inUse
    /// The block device is mounted.
    case mounted
    /// The file system gives no direct I/O.
    case noDirectIO
    /// The file or device has fewer bytes than a store needs.
    case tooSmall
    /// More bytes are asked for than the device or the file system can hold.
    case tooLarge
    /// A file is to be made, and nobody says how large.
    case sizeMissing
    /// The file system is full.
    case noSpace
    /// Descriptors, threads or AIO contexts are used up.
    case resource
    /// The kernel or its policy does not offer what is asked.
    case unsupported
    /// The waiting task was cancelled.
    case cancelled
    /// An I/O error.
    case io
  }

  /// What went wrong, for programs.
  public let code: Code
  /// The path as it was given.
  public let path: String
  /// The positive error number of the kernel, or 0 where none was involved.
  public let errorNumber: Int32
  /// The cause and the remedy, for people.
  public let message: String
  /// The process that holds what is in use, where it can be known.
  public let holderProcessID: Int32?

  /// Describes a failure.
  public init(
    _ code: Code, path: String, errorNumber: Int32 = 0, message: String,
    holderProcessID: Int32? = nil
  ) {
    self.code = code
    self.path = path
    self.errorNumber = errorNumber
    self.message = message
    self.holderProcessID = holderProcessID
  }

  /// The message.
  public var description: String { message }
}
