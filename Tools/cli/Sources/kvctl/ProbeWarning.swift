import Console

/// Something that a person should know before a store is put where a probe was.
struct ProbeWarning: Hashable {
  /// The stable name of a warning.
  enum Code: String {
    /// The file system takes no direct I/O: everything goes through the page cache.
    case buffered
    /// Direct I/O is taken, but the kernel says that there is none.
    case directIgnored
    /// A submission does not return before the request is done.
    case synchronousSubmission
    /// What is announced of sectors does not hold.
    case alignment
    /// What is not flushed may be lost by a power failure.
    case volatileCache
    /// The file system is none for a store, or a link led elsewhere.
    case place
    /// There is too little data for the numbers to mean much.
    case smallRegion
    /// Part of what is there holds no data, and was left out.
    case emptyParts
    /// Part of what is there cannot be read.
    case unreadable
    /// Linux AIO requests are nearly used up.
    case aioHeadroom
    /// An engine does not start here.
    case engine
  }

  let code: Code
  let message: String

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  var json: JSONValue { ["code": .string(code.rawValue), "message": .string(message)] }
}
