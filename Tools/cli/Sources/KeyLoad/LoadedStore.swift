/// A store under load: what kvbench needs of Varve and of every peer that it is compared with.
///
/// A peer is one type with one initialiser of its own, which makes a new store as a `LoadPlan`
/// says, and these members. Keys have 16 bytes and values 1,024; both are lent for the call.
public protocol LoadedStore: Sendable {
  /// Name and version, as in a table.
  var name: String { get }
  /// How it was set up, as a person would write it down: `option value`, separated by commas.
  var configuration: String { get }
  /// Where so many tasks run: nil is Swift's own pool. Calls that block their thread need a
  /// `ThreadExecutor` with a thread for each task.
  func executor(taskCount: Int) -> (any TaskExecutor)?
  /// Writes a value, acknowledged as soon as the store's memory has it; its log is written, but
  /// nobody waits for that.
  ///
  /// - Throws: `LoadFailure`, with code `full` where no room is left.
  func put(_ key: RawSpan, _ value: RawSpan) async throws
  /// Lends a value to `body` and returns what that says; nil where the key is not there.
  func get(_ key: RawSpan, _ body: (RawSpan) -> Bool) async throws -> Bool?
  /// Makes everything durable that was acknowledged.
  func sync() async throws
  /// Ends the store in good order; no other call follows.
  func close() async throws
  /// The bytes that the store takes on its disk.
  var diskByteCount: UInt64 { get throws }
  /// Bytes written since the store was opened, by cause, as far as the store knows.
  var writtenByteCounts: [String: UInt64] { get }
  /// What the store says of itself at the end of a run, for people; empty says nothing.
  var diagnostics: String { get }
}

extension LoadedStore {
  /// Unknown.
  public var writtenByteCounts: [String: UInt64] { [:] }
  /// Nothing.
  public var diagnostics: String { "" }
}
