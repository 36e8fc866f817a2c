// The segment table as everybody may read it. The table itself belongs to the maintenance task,
// which publishes it after each change: whoever looks neither waits for that task, which may be
// about a checkpoint for a while, nor holds it up. Publishing copies references; the next change
// copies a page of the table, beside the two that it writes and the flush that it waits for.

import Synchronization
import VarveFormat

/// The segment table of an open store, for those who look at it.
final class PublishedTable: Sendable {
  private struct State {
    var table: SegmentTable
    var order: [SegmentIndex]
    /// Of segments that were filled since the store was opened.
    var contents: [SegmentIndex: SegmentContents] = [:]
  }

  private let state: Mutex<State>

  /// `order` names segments of the users' log from the oldest to the newest.
  init(_ table: SegmentTable, order: [SegmentIndex]) {
    state = Mutex(State(table: table, order: order))
  }

  /// Shows the table as it is now. A segment's contents are kept when it is sealed, because the log
  /// then forgets them.
  func publish(_ table: SegmentTable, order: [SegmentIndex], _ log: LogAppender) {
    let unsealed = log.unsealedContents
    state.withLock { state in
      state.table = table
      state.order = order
      state.contents.merge(unsealed) { $1 }
    }
  }

  /// Shows the order where it has changed behind the table: a reference is copied.
  func publish(order: [SegmentIndex]) { state.withLock { $0.order = order } }

  /// Where everything lies now.
  var geometry: Geometry { state.withLock { $0.table.geometry } }

  /// The segments, with what is live in them now.
  func snapshot(_ directory: SegmentDirectory, _ log: LogAppender) -> SegmentSnapshot {
    let unsealed = log.unsealedContents
    let state = state.withLock { $0 }
    return SegmentSnapshot(
      table: state.table, order: state.order,
      contents: state.contents.merging(unsealed) { $1 }, directory: directory)
  }
}
