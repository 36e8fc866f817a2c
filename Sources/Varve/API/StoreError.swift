/// Why an operation failed: a stable code for programs, a message with cause and remedy for people,
/// and what it was about. Messages and descriptions never contain keys or values; a key is named
/// by its byte count. <doc:Errors> has the cause and the remedy of each code.
///
/// ```swift
/// do {
///   try await store.put("cart:17", "4 apples")
/// } catch where error.code == .full {
///   await shedLoad()
/// }
/// ```
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong, as a stable name. Codes may be added.
  public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The name, as in the command-line contract.
    public let rawValue: String

    /// Wraps a name.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The name.
    public var description: String { rawValue }

    /// No segment is left for writes; deletes still work, and writes resume when space returns.
    /// Of a growth: the file system has no space.
    public static let full = Code(rawValue: "full")
    /// The record that holds the key's newest version is damaged.
    public static let corrupt = Code(rawValue: "corrupt")
    /// Damage of unknown extent may have taken a newer version of this key.
    public static let suspect = Code(rawValue: "suspect")
    /// Another key has the same fingerprint: this one cannot be told apart.
    public static let hashCollision = Code(rawValue: "hashCollision")
    /// The write may or may not survive: the device failed while it was made durable.
    public static let indeterminate = Code(rawValue: "indeterminate")
    /// A flush failed earlier: nothing can be written until the store is opened again.
    public static let poisoned = Code(rawValue: "poisoned")
    /// A key, value or batch is over its limit.
    public static let tooLarge = Code(rawValue: "tooLarge")
    /// The store is open for reading only.
    public static let readOnly = Code(rawValue: "readOnly")
    /// The store is closed.
    public static let closed = Code(rawValue: "closed")
    /// Another process or another `Store` holds the device.
    public static let inUse = Code(rawValue: "inUse")
    /// The device is no store, is damaged beyond opening, or holds something worth keeping.
    public static let refused = Code(rawValue: "refused")
    /// Memory, contexts or descriptors do not suffice.
    public static let resource = Code(rawValue: "resource")
    /// The device failed.
    public static let io = Code(rawValue: "io")
    /// The call makes no sense as it is.
    public static let usage = Code(rawValue: "usage")
    /// The task was cancelled before the operation took effect: nothing was written.
    public static let cancelled = Code(rawValue: "cancelled")
    /// A compare-and-set loop met other writers more often than its bound, or a store that shall
    /// grow is growing already.
    public static let conflict = Code(rawValue: "conflict")
    /// The path names nothing.
    public static let notFound = Code(rawValue: "notFound")
  }

  /// The stable code.
  public let code: Code
  /// Cause and remedy, for people.
  public let message: String
  /// Where on the device, in bytes, where the error is about a place.
  public let byteOffset: UInt64?

  /// Makes an error.
  public init(_ code: Code, _ message: String, byteOffset: UInt64? = nil) {
    self.code = code
    self.message = message
    self.byteOffset = byteOffset
  }

  /// Code and message.
  public var description: String { "\(code): \(message)" }

  static let closedStore = StoreError(.closed, "the store is closed; open it again")
  static let cancelledTask = StoreError(.cancelled, "the task was cancelled")
  static let poisonedStore = StoreError(
    .poisoned,
    "a flush of the device failed, so nothing more can be made durable; reads go on. "
      + "Close the store, check the device, and open it again")
  static let readOnlyStore = StoreError(
    .readOnly, "the store is open for reading only; open it without readOnly to write")
}
