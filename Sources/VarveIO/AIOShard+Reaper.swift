import CVarveAIO
import Glibc
import Synchronization

extension AIOShard {
  /// The body of a thread of the shard's own: completes requests until the shard is closed, then
  /// destroys the context.
  func reapUntilClosed(_ context: consuming AIOContext) {
    var reaper = AIOReaper(self, context)
    repeat {
      reaper.arm()
      reaper.reap(mayWait: true)
    } while reaper.goesOn()
  }

  /// Takes one completion: continues the request or completes it.
  func finish(_ event: io_event, nowNanoseconds: UInt64) {
    let index = unsafe slots.index(of: event)
    reportIfSlow(index, nowNanoseconds: nowNanoseconds, isInFlight: false)
    let request = slots.disarm(index)
    slots.release(index)
    // libaio declares both results unsigned; the kernel means them signed.
    let (result, secondResult) = unsafe (Int(bitPattern: event.res), event.res2)
    let outcome = secondResult == 0 ? request.advance(result: result) : .failed(EIO)
    switch outcome {
    case .continued: resume(request)
    case .done:
      counters.countSuccess(of: request.operation, byteCount: request.byteCount)
      request.finish(errorNumber: 0)
    case .failed(let errorNumber):
      counters.countFailure()
      request.finish(errorNumber: errorNumber)
    }
  }

  /// Looks for requests that hang.
  func reportSlowRequests(nowNanoseconds: UInt64) {
    for index in 0..<slots.capacity {
      reportIfSlow(index, nowNanoseconds: nowNanoseconds, isInFlight: true)
    }
  }

  private func reportIfSlow(_ index: Int, nowNanoseconds: UInt64, isInFlight: Bool) {
    guard
      let slow = slots.slowRequest(
        index, nowNanoseconds: nowNanoseconds,
        limitNanoseconds: options.slowRequestNanoseconds, isInFlight: isInFlight)
    else { return }
    counters.countSlowRequest()
    options.onSlowRequest?(slow)
  }
}
