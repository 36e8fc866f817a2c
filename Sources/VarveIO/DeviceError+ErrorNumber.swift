import Glibc

extension DeviceError {
  /// Translates the error number of a system call that did `action` ("open", "zero-fill").
  static func system(_ action: String, path: String, errorNumber: Int32) -> DeviceError {
    let (code, remedy) = explanation(of: errorNumber)
    return DeviceError(
      code, path: path, errorNumber: errorNumber,
      message: "cannot \(action) \(path): \(text(of: errorNumber)) (errno \(errorNumber))\(remedy)")
  }

  /// The kernel's words for an error number.
  static func text(of errorNumber: Int32) -> String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
      // SAFETY: strerror_r fills at most the 128 bytes of the buffer and ends them with a zero.
      guard let base = buffer.baseAddress, unsafe strerror_r(errorNumber, base, 128) == 0 else {
        return "unknown error"
      }
      return unsafe String(cString: base)
    }
  }

  /// Whether the process may not write files of any size.
  private static var isFileSizeLimited: Bool {
    var limit = rlimit()
    // SAFETY: getrlimit fills one structure, a local variable.
    let result = unsafe getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    return result == 0 && limit.rlim_cur < UInt64(Int64.max)
  }

  private static func explanation(of errorNumber: Int32) -> (Code, String) {
    switch errorNumber {
    case ENOENT, ENOTDIR, ENXIO, ENODEV:
      (.notFound, ": check the path; a store is made with create")
    case EEXIST: (.exists, ": choose another path, or force a new format")
    case EISDIR: (.isDirectory, ": name a file inside it")
    case ELOOP: (.symbolicLink, ": name the target instead of the link")
    case EACCES, EPERM: (.permission, ": check owner and mode, or run as the store's owner")
    case EROFS: (.permission, ": the file system is mounted read-only; open read-only")
    case EBUSY, EWOULDBLOCK, ETXTBSY: (.inUse, ": close the other user, or wait for it")
    case ENOSPC, EDQUOT: (.noSpace, ": free space or choose a smaller store")
    case EFBIG where isFileSizeLimited:
      (.resource, ": raise the limit of file sizes (ulimit -f), or choose a smaller store")
    case EFBIG, EOVERFLOW: (.tooLarge, ": choose a smaller store")
    case EMFILE, ENFILE: (.resource, ": raise the limit of open descriptors (ulimit -n)")
    case ENOMEM, EAGAIN: (.resource, ": free memory or raise the limits of the process")
    case ENOSYS, EOPNOTSUPP: (.unsupported, ": use another kernel, file system or engine")
    default: (.io, ": check the device and the kernel log")
    }
  }
}
