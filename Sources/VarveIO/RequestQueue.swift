/// Requests that wait for the device, first in, first out, linked through the requests themselves:
/// queueing allocates nothing. Guarded by whoever owns it.
struct RequestQueue: ~Copyable {
  private var head: IORequest?
  private var tail: IORequest?
  /// The number of requests that wait.
  private(set) var count = 0

  init() {}

  mutating func append(_ request: IORequest) {
    precondition(request.nextQueued == nil, "a request was submitted while it was in flight")
    if let tail { tail.nextQueued = request } else { head = request }
    tail = request
    count += 1
  }

  /// Puts back a request that was taken out and could not be handed over.
  mutating func prepend(_ request: IORequest) {
    request.nextQueued = head
    head = request
    if tail == nil { tail = request }
    count += 1
  }

  mutating func removeFirst() -> IORequest? {
    guard let first = head else { return nil }
    head = first.nextQueued
    if head == nil { tail = nil }
    first.nextQueued = nil
    count -= 1
    return first
  }
}
