// One request to a device: an object that its owner subclasses, because a class with one
// overridable method costs no closure, no existential and no allocation besides itself, and can be
// pooled. The request owns or borrows its memory until `complete` is called.

/// What a request asks of the device.
public enum IOOperation: UInt8, Sendable {
  /// Read `byteCount` bytes at `byteOffset` into `memory`.
  case read
  /// Write `byteCount` bytes from `memory` at `byteOffset`.
  case write
  /// Write, and make exactly these bytes durable (RWF_DSYNC): nothing written before it.
  case writeDurably
  /// Make everything durable whose completion was seen before this request was submitted.
  case flush
}

/// Why a request failed: the operation, where, how much, and the kernel's error number.
public struct IOError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was asked.
  public let operation: IOOperation
  /// Where, in bytes from the start of the device.
  public let byteOffset: UInt64
  /// How much.
  public let byteCount: Int
  /// The positive error number of the kernel.
  public let errorNumber: Int32

  /// Describes a failed request.
  public init(operation: IOOperation, byteOffset: UInt64, byteCount: Int, errorNumber: Int32) {
    self.operation = operation
    self.byteOffset = byteOffset
    self.byteCount = byteCount
    self.errorNumber = errorNumber
  }

  /// The operation, the place and the error number.
  public var description: String {
    "\(operation) of \(byteCount) bytes at byte \(byteOffset) failed (errno \(errorNumber))"
  }
}

/// A request in the hands of a device.
///
/// SAFETY: a request is used by one side at a time: by its owner until it is submitted, by the
/// device until `complete` is called, by its owner again after that.
@safe open class IORequest: @unchecked Sendable {
  /// What is asked.
  public final var operation: IOOperation {
    get { fields.operation }
    set { fields.operation = newValue }
  }
  /// The memory to read into or write from, aligned to 512 bytes or, where that is more, to what
  /// `DirectFile.traits().memoryAlignment` says (`AlignedMemory` is to 4 KiB); nil for a flush. The
  /// owner of the request keeps it alive and unmoved until `complete` is called.
  public final var memory: UnsafeMutableRawPointer? {
    get { unsafe fields.memory }
    set { unsafe fields.memory = newValue }
  }
  /// How many bytes; a multiple of 512 (0 for a flush).
  public final var byteCount: Int {
    get { fields.byteCount }
    set { fields.byteCount = newValue }
  }
  /// Where, in bytes from the start of the device; a multiple of 512.
  public final var byteOffset: UInt64 {
    get { fields.byteOffset }
    set { fields.byteOffset = newValue }
  }
  /// The pieces of memory of a vectored request, see `setSegments`; empty where `memory` is all.
  public final internal(set) var segments: [IOSegment] {
    get { fields.segments }
    set { fields.segments = newValue }
  }

  /// What the properties above hold. Stored here because only properties that no other module sees
  /// are free of the checks for overlapping access, of which a request would otherwise make thirty
  /// on its way.
  @safe struct Fields {
    // SAFETY: whoever sets `memory` answers for it, see the class.
    var operation: IOOperation
    var memory: UnsafeMutableRawPointer?
    var byteCount: Int
    var byteOffset: UInt64
    var segments: [IOSegment] = []
  }
  final var fields: Fields

  /// The device's: the next request in the queue that holds this one back.
  final var nextQueued: IORequest?
  /// The device's: the bytes transferred so far, where the kernel transferred fewer than asked.
  final var transferredByteCount = 0
  /// The device's: the bytes that the kernel was asked for last.
  final var submittedByteCount = 0
  /// The device's: how often a short transfer was continued.
  final var continuationCount = 0

  /// Makes a request; set its fields before it is submitted.
  public init(
    operation: IOOperation = .read, memory: UnsafeMutableRawPointer? = nil, byteCount: Int = 0,
    byteOffset: UInt64 = 0
  ) {
    fields = unsafe Fields(
      operation: operation, memory: memory, byteCount: byteCount, byteOffset: byteOffset)
  }

  /// Called exactly once for each submission, when the kernel has let go of the memory: with nil
  /// when every byte was transferred. It is called on any thread: one of the device, one of an
  /// executor, or the submitting one before `submit` returns. It must not block.
  open func complete(_ error: IOError?) {
    preconditionFailure("a request type must override complete(_:)")
  }
}
