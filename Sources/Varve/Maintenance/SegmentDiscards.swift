// Discards: the device learns which segments hold nothing any more. A discard may take seconds, so
// it happens on a thread of its own. Segments that are freed while it is at work gather, and go
// together next time.
//
// DURABILITY: a segment comes here only after the table has said durably that it is free: no
// recovery looks into it any more. Whether a crash leaves zeros there, the old content or a mixture
// does not matter: the old pages carry an older generation than any that the segment will be opened
// under, and zeros are no page. And it is pinned until the device is done, so that it is not opened
// meanwhile: a discard that came after a frame would take the frame.

import Logging
import Synchronization
import VarveFormat
import VarveIO

/// Discards freed segments of a device that takes note of it.
final class SegmentDiscards: Sendable {
  private struct State {
    var waiting: [SegmentIndex] = []
    /// What is at work; nil while nothing waits.
    var task: Task<Void, Never>?
    /// Whether a discard has failed: no more are tried.
    var hasFailed = false
  }

  private let device: any BlockDevice
  private let geometry: Geometry
  private let segments: SegmentDirectory
  private let counters: StoreCounters
  private let health: HealthMonitor
  private let granularityByteCount: Int
  private let thread: WorkerThread
  private let wake: Signal
  private let state = Mutex(State())

  /// One discard covers no more than this, so that its segments are not kept for too long.
  static let maximumByteCount = 256 << 20

  private init(
    device: any BlockDevice, geometry: Geometry, segments: SegmentDirectory,
    counters: StoreCounters, health: HealthMonitor, granularityByteCount: Int,
    thread: WorkerThread, wake: Signal
  ) {
    self.device = device
    self.geometry = geometry
    self.segments = segments
    self.counters = counters
    self.health = health
    self.granularityByteCount = granularityByteCount
    self.thread = thread
    self.wake = wake
  }

  /// Starts what discards for a store, where its options ask for it and its device takes discards.
  static func start(
    _ options: StoreOptions, on device: any BlockDevice, geometry: Geometry, for log: LogAppender
  ) -> SegmentDiscards? {
    guard options.discard else { return nil }
    guard let granularityByteCount = device.discardGranularityByteCount else {
      options.logger.notice("freed segments are not discarded: this is no device that takes it")
      return nil
    }
    do throws(DeviceError) {
      return SegmentDiscards(
        device: device, geometry: geometry, segments: log.segments, counters: log.counters,
        health: log.health, granularityByteCount: granularityByteCount,
        thread: try WorkerThread(name: "varve-discard"), wake: log.maintenance)
    } catch {
      options.logger.warning("freed segments are not discarded", metadata: ["error": "\(error)"])
      return nil
    }
  }

  /// Takes segments that are free, durably. Nobody is given them until they have been discarded.
  func add(_ freed: [SegmentIndex]) {
    state.withLock { state in
      guard !state.hasFailed else { return }
      for segment in freed { segments.pin(segment) }
      state.waiting += freed
      guard state.task == nil else { return }
      state.task = Task(executorPreference: thread) { self.work() }
    }
  }

  /// Waits until nothing is being discarded.
  ///
  /// - Returns: whether there was something to wait for.
  func finish() async -> Bool {
    guard let task = state.withLock({ $0.task }) else { return false }
    await task.value
    return true
  }

  /// Discards what has been added, and ends the thread; nothing may be added any more.
  func end() async {
    while await finish() {}
    thread.stop()
  }

  /// Waits, blocking, until the thread has ended.
  func joinThread() { thread.join() }

  /// Discards until nothing waits. Blocks.
  private func work() {
    while true {
      let taken: [SegmentIndex] = state.withLock { state in
        defer { state.waiting = [] }
        if state.waiting.isEmpty { state.task = nil }
        return state.waiting
      }
      guard !taken.isEmpty else { return }
      let limit = max(1, SegmentDiscards.maximumByteCount / geometry.segmentByteCount)
      for run in SegmentDiscards.runs(of: taken, atMost: limit) {
        discard(run)
        for segment in run { segments.unpin(SegmentIndex(segment)) }
        // Compaction may wait for one of them.
        wake.raise()
      }
    }
  }

  private func discard(_ run: Range<UInt32>) {
    let byteCount = run.count * geometry.segmentByteCount
    guard byteCount >= granularityByteCount, !state.withLock({ $0.hasFailed }) else { return }
    let pageByteCount = UInt64(Limits.pageByteCount)
    let start = geometry.firstPage(of: SegmentIndex(run.lowerBound)).rawValue * pageByteCount
    do throws(DeviceError) {
      try device.discard(start..<start + UInt64(byteCount))
      counters.add(counters.discardedBytes, byteCount)
    } catch {
      counters.add(counters.discardFailures)
      state.withLock { $0.hasFailed = true }
      health.logger.warning(
        "a discard failed; freed segments are not discarded any more",
        metadata: ["error": "\(error)"])
    }
  }

  /// Neighbours together, in runs of at most so many segments.
  static func runs(of segments: [SegmentIndex], atMost limit: Int) -> [Range<UInt32>] {
    var runs: [Range<UInt32>] = []
    for segment in segments.map(\.rawValue).sorted() {
      if let last = runs.last, last.upperBound == segment, last.count < limit {
        runs[runs.count - 1] = last.lowerBound..<segment + 1
      } else {
        runs.append(segment..<segment + 1)
      }
    }
    return runs
  }
}
