// The user log: one stream of frames in the order of one sequence. A writer appends its record
// under the log's lock, which takes its sequence number, encodes it straight into the open frame
// and publishes it in the index; then it waits for the frame. Files in the order of a put:
//
//   LogAppender+Append   a record into the open frame
//   LogAppender+GroupCommit  frames to the device, completions in order, flushes, acknowledgement
//   LogAppender+Rewrite  what happens when a write fails
//
// Invariants:
// - frames are submitted, acknowledged and made durable in stream order, whatever order they
//   complete in;
// - at most one open frame, the last;
// - a record counts as dead only once the frame that superseded it is durable;
// - no lock is held while a request is submitted or a writer resumed.

import Synchronization
import VarveFormat
import VarveIO

/// The end of the log that takes writes.
final class LogAppender: Sendable {
  let device: any BlockDevice
  /// Of the store at its largest: it may grow while it is open.
  let geometry: Geometry
  let uuid: StoreUUID
  let checksum: Checksum
  let index: RecordIndex
  let segments: SegmentDirectory
  let counters: StoreCounters
  /// Wakes `Maintenance`: a segment is needed, finished or empty, or a write failed.
  let maintenance: Signal
  let health: HealthMonitor
  let clock: StoreClock
  let state: AdaptiveMutex<LogState>
  /// Whether the timer that writes out an idle log is running.
  let isTimerArmed = Atomic<Bool>(false)
  /// The bound of the memory of frames.
  let bufferByteLimit: Int

  /// Pages of an ordinary frame: large enough for the bandwidth of the device, small enough that
  /// sealing one stalls nobody.
  static let framePageCount = 64
  /// Writes in flight at most.
  static let maximumSubmittedCount = 8

  init(
    device: any BlockDevice, superblock: Superblock, index: RecordIndex,
    segments: SegmentDirectory, counters: StoreCounters, maintenance: Signal,
    health: HealthMonitor, clock: StoreClock, state: consuming sending LogState,
    bufferByteLimit: Int
  ) {
    self.device = device
    geometry = superblock.geometry.largest
    uuid = superblock.uuid
    checksum = Checksum(uuid: superblock.uuid)
    self.index = index
    self.segments = segments
    self.counters = counters
    self.maintenance = maintenance
    self.health = health
    self.clock = clock
    self.state = AdaptiveMutex(state)
    self.bufferByteLimit = bufferByteLimit
  }

  /// The extent of a record that may be in the write buffer only; nil once the device has it.
  func bufferedExtent(at location: RecordLocation) -> BufferedExtent? {
    state.withLock { state in
      for frame in state.frames.reversed() where frame.contains(location.page) {
        return frame.extent(at: location)
      }
      return nil
    }
  }
}
