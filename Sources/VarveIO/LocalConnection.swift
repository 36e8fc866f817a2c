import CVarveAIO
import Glibc

/// One who asks a `LocalServer`: sends a line, gets an answer, and is let go. All of it has to be
/// done by a deadline, whatever the other end does, and takes no more memory than a line and a
/// chunk.
final class LocalConnection {
  private enum State {
    case asking([UInt8])
    case answering(LocalAnswer, chunk: [UInt8], sentByteCount: Int)
  }

  /// A request is a word; more than this is none.
  private static let maximumLineByteCount = 256

  private let descriptor: Descriptor
  private var state = State.asking([])
  let deadlineNanoseconds: UInt64

  init(adopting number: Int32, deadlineNanoseconds: UInt64) {
    descriptor = Descriptor(adopting: number)
    self.deadlineNanoseconds = deadlineNanoseconds
  }

  /// What to wait for.
  var polled: pollfd {
    let events = if case .asking = state { POLLIN } else { POLLOUT }
    return pollfd(fd: descriptor.rawValue, events: Int16(events), revents: 0)
  }

  /// Goes on as far as the socket allows, at most a chunk at a time, so that nobody who reads fast
  /// keeps the others waiting; false at the end.
  func advance(_ answer: (String) -> LocalAnswer) -> Bool {
    if case .asking(let line) = state, !takeLine(line, answer) { return false }
    guard case .answering(let answer, let chunk, let sentByteCount) = state else { return true }
    if sentByteCount == chunk.count {
      guard let next = answer.next() else { return false }
      state = .answering(answer, chunk: next, sentByteCount: 0)
      return true
    }
    let count = unsafe chunk.withUnsafeBytes { bytes in
      // SAFETY: what is left of the chunk is lent for the duration of the call.
      unsafe varve_local_send(
        descriptor.rawValue, bytes.baseAddress.map { unsafe $0 + sentByteCount },
        bytes.count - sentByteCount)
    }
    guard count >= 0 else { return count == -Int64(EAGAIN) }
    state = .answering(answer, chunk: chunk, sentByteCount: sentByteCount + Int(count))
    return true
  }

  /// Reads more of the line; false where the other end is gone.
  private func takeLine(_ line: [UInt8], _ answer: (String) -> LocalAnswer) -> Bool {
    var line = line
    var chunk = [UInt8](repeating: 0, count: LocalConnection.maximumLineByteCount)
    let count = unsafe chunk.withUnsafeMutableBytes { bytes in
      // SAFETY: the call fills at most the bytes that it is lent.
      unsafe varve_local_receive(descriptor.rawValue, bytes.baseAddress, bytes.count)
    }
    guard count >= 0 else { return count == -Int64(EAGAIN) }
    line += chunk[..<Int(count)]
    let end = line.firstIndex(of: 10)
    if end == nil, count > 0, line.count <= LocalConnection.maximumLineByteCount {
      state = .asking(line)
      return true
    }
    // The end of the input ends a line, too; nothing at all is nobody.
    guard !line.isEmpty else { return false }
    var word = line[..<(end ?? line.endIndex)].prefix(LocalConnection.maximumLineByteCount)
    if word.last == 13 { word.removeLast() }
    state = .answering(answer(String(decoding: word, as: UTF8.self)), chunk: [], sentByteCount: 0)
    return true
  }
}
