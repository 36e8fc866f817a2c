import VarveFormat
import VarveIO

/// A frame of the user's log: one group commit, with the writers that wait for it.
///
/// SAFETY: its fields change only under the log's lock.
final class LogFrame: Frame, @unchecked Sendable {
  /// How far a frame is.
  enum State {
    /// Takes records.
    case open
    /// Sealed, in the queue.
    case closed
    /// In the hands of the device.
    case submitted
    /// On the device, perhaps only in its cache.
    case written
    /// The device reported an error.
    case failed
  }

  /// The place of the frame in the log, from 1.
  let identifier: UInt64
  var state = State.open
  /// Locations that this frame's records superseded: dead once the frame is durable.
  var superseded: [RecordLocation] = []
  var writtenWaiters: [WriteWaiter] = []
  var durableWaiters: [WriteWaiter] = []
  /// Whether somebody waits for the frame to be written or durable.
  var hasWaiters: Bool { !(writtenWaiters.isEmpty && durableWaiters.isEmpty) }
  /// Whether somebody waited for the frame when it was submitted.
  var isCommit = false
  private let log: LogAppender

  /// A frame at the end of a segment.
  init(buffer: PageBuffer, identifier: UInt64, in segment: OpenSegment, log: LogAppender) {
    self.identifier = identifier
    self.log = log
    super.init(buffer: buffer, stream: .user, endOf: segment)
  }

  override func complete(_ error: IOError?) { log.writeCompleted(self, error) }
}
