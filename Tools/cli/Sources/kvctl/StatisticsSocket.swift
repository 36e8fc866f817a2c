import Console
import Glibc
import Varve

/// The socket on which a running store tells its statistics, seen from outside. Whatever answers is
/// bounded in time and in bytes.
struct StatisticsSocket {
  /// Why there is no answer.
  struct NoAnswer: Error {
    let reason: String
    /// Whether nobody listens there: nobody has the store open, or it was not asked to serve.
    var isAbsent = false
  }

  let path: String

  /// The socket that a command line names, or the one where a store's is by convention.
  init(named name: String?, store: String) {
    path = name ?? StoreOptions.statisticsSocketPath(forStoreAt: store)
  }

  /// Seconds for an answer, and for a place in the queue.
  private static let timeoutSeconds = 10
  /// The segments of a store of 16 TiB are described in some 40 MB.
  private static let maximumByteCount = 256 << 20

  /// Asks a line of the store with this UUID and returns the object that is the answer.
  func ask(_ line: String, uuid: String) throws(NoAnswer) -> JSONValue {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Self.failure(errno) }
    defer { close(descriptor) }
    var timeout = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      // SAFETY: the structure is a local variable of the size that is passed.
      let size = socklen_t(MemoryLayout<timeval>.size)
      _ = unsafe setsockopt(descriptor, SOL_SOCKET, option, &timeout, size)
    }
    try connect(descriptor)
    let question = Array((line + "\n").utf8)
    // SAFETY: the bytes of the array are lent for the duration of the call.
    let sent = unsafe send(descriptor, question, question.count, Int32(MSG_NOSIGNAL))
    guard sent == question.count else { throw Self.failure(errno) }
    let answer = try receive(descriptor)
    guard let json = try? JSONParser.parse(answer) else {
      throw NoAnswer(reason: "what answers there is no store")
    }
    guard json["ok"] == true else {
      throw NoAnswer(reason: json["message"]?.text ?? "what answers there is no store")
    }
    guard json["uuid"]?.text == uuid else {
      throw NoAnswer(reason: "another store answers there (\(json["uuid"]?.text ?? "no UUID"))")
    }
    return json
  }

  private static func failure(_ errorNumber: Int32) -> NoAnswer {
    NoAnswer(
      reason: errorNumber == EAGAIN ? "no answer in time" : ToolError.reason(errorNumber),
      isAbsent: errorNumber == ENOENT || errorNumber == ECONNREFUSED)
  }

  private func connect(_ descriptor: Int32) throws(NoAnswer) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    // SAFETY: the closure copies no more than fits with a zero behind it.
    let fits = unsafe withUnsafeMutableBytes(of: &address.sun_path) { target in
      guard bytes.count < target.count, !bytes.isEmpty else { return false }
      unsafe target.copyBytes(from: bytes)
      return true
    }
    guard fits else {
      throw NoAnswer(reason: "the path of the socket is too long; name another with --socket")
    }
    // SAFETY: the structure is a local variable; the address is read as what its family says.
    let result = unsafe withUnsafePointer(to: &address) { address in
      unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else { throw Self.failure(errno) }
  }

  private func receive(_ descriptor: Int32) throws(NoAnswer) -> [UInt8] {
    let end = ContinuousClock.now + .seconds(Self.timeoutSeconds)
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while answer.last != 10 {
      // SAFETY: the call fills at most the bytes that it is lent.
      let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Self.failure(errno) }
      guard count > 0 else {
        throw NoAnswer(reason: "the answer breaks off: the store was closed, or is too busy")
      }
      answer += chunk[..<count]
      guard answer.count <= Self.maximumByteCount, ContinuousClock.now < end else {
        throw NoAnswer(reason: "the answer does not end")
      }
    }
    return answer
  }
}
