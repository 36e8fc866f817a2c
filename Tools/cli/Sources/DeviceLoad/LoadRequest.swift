import Measuring
import Synchronization
import VarveIO

/// One place of a load: memory and a request that is used over and over.
///
/// SAFETY: as for every request, one side at a time: the device until `complete`, which hands it to
/// the device again or, at the last, to whoever waits for `LoadState.isFinished`.
final class LoadRequest: IORequest, @unchecked Sendable {
  private(set) var latencies = Latencies()
  private let state: LoadState
  private let buffer: AlignedMemory
  private var random = Random(state: Random.seed())
  private var startNanoseconds: UInt64 = 0

  init(_ state: LoadState) {
    self.state = state
    buffer = AlignedMemory(byteCount: state.kind.byteCount)
    unsafe super.init()
    guard state.kind.isWriting else { return }
    unsafe random.fill(UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.byteCount))
  }

  /// Chooses the next place and submits.
  func launch(_ nanoseconds: UInt64) {
    startNanoseconds = nanoseconds
    operation = state.kind.operation
    unsafe memory = buffer.base
    byteCount = state.kind.byteCount
    switch state.kind {
    case .randomRead, .randomWrite, .flushedWrite: byteOffset = state.source.nextPage()
    case .sequentialRead, .sequentialWrite: byteOffset = state.source.nextBlock()
    }
    if state.kind.isWriting { stamp() }
    submit(nanoseconds)
  }

  override func complete(_ error: IOError?) {
    let nanoseconds = MonotonicClock.nanoseconds()
    if let error {
      state.fail(error)
      return state.end(nanoseconds)
    }
    if state.kind == .flushedWrite, operation == .write {
      operation = .flush
      unsafe memory = nil
      byteCount = 0
      return submit(nanoseconds)
    }
    latencies.record(nanoseconds - startNanoseconds)
    if state.isOver(nanoseconds) { state.end(nanoseconds) } else { launch(nanoseconds) }
  }

  private func submit(_ nanoseconds: UInt64) {
    // From the submission on, the request may complete on another thread: only the state, which is
    // shared anyway, is used after it.
    let state = state
    state.device.submit(self)
    state.submitNanoseconds.wrappingAdd(
      MonotonicClock.nanoseconds() - nanoseconds, ordering: .relaxed)
  }

  /// Makes every page different from all that were written before: nothing to compress or to share.
  private func stamp() {
    for byteOffset in stride(from: 0, to: byteCount, by: DataRegion.pageByteCount) {
      // SAFETY: the offsets lie within the buffer, which has `byteCount` bytes.
      unsafe buffer.base.storeBytes(of: random.next(), toByteOffset: byteOffset, as: UInt64.self)
    }
  }
}
