import Synchronization

/// One line on the terminal that is written over: how far, how fast, how long to go. Says nothing
/// where standard error is no terminal.
public final class ProgressMeter: Sendable {
  /// Pauses between two lines; a person reads no faster.
  private static let pause = Duration.milliseconds(150)

  private struct State {
    var lastShown: ContinuousClock.Instant?
    var isDirty = false
  }

  private let verb: String
  private let isShown: Bool
  private let start = ContinuousClock.now
  private let state = Mutex(State())

  /// A meter for work that `verb` names.
  public init(_ verb: String, isShown: Bool) {
    self.verb = verb
    self.isShown = isShown && ByteOutput.messages.isTerminal
  }

  /// Seconds since the meter was made.
  public var elapsedSeconds: Double { (ContinuousClock.now - start) / .seconds(1) }

  /// Says how many bytes are done, of how many if that is known, and how many things.
  public func update(
    byteCountDone: UInt64, byteCount: UInt64? = nil, itemCount: Int? = nil, items: String = ""
  ) {
    guard isDue() else { return }
    show(
      line(byteCountDone: byteCountDone, byteCount: byteCount, itemCount: itemCount, items: items))
  }

  /// Says which of so many steps is under way.
  public func update(step: Int, stepCount: Int, _ name: String) {
    guard isShown else { return }
    state.withLock { $0.isDirty = true }
    show("\(verb) \(step) of \(stepCount): \(name)")
  }

  private func isDue() -> Bool {
    guard isShown else { return false }
    return state.withLock { state in
      let now = ContinuousClock.now
      if let last = state.lastShown, now - last < Self.pause { return false }
      state.lastShown = now
      state.isDirty = true
      return true
    }
  }

  private func show(_ line: String) {
    try? ByteOutput.messages.write(Array("\r\u{1B}[K\(line)".utf8))
    try? ByteOutput.messages.flush()
  }

  /// Clears the line.
  public func finish() {
    guard isShown, state.withLock({ $0.isDirty }) else { return }
    try? ByteOutput.messages.write(Array("\r\u{1B}[K".utf8))
    try? ByteOutput.messages.flush()
  }

  private func line(
    byteCountDone: UInt64, byteCount: UInt64?, itemCount: Int?, items: String
  ) -> String {
    let seconds = max(elapsedSeconds, 0.001)
    let bytesPerSecond = Double(byteCountDone) / seconds
    var line = "\(verb) \(ByteSize(byteCountDone))"
    if let byteCount, byteCount > 0 {
      line += " of \(ByteSize(byteCount)) (\(byteCountDone * 100 / byteCount) %)"
    }
    if let itemCount { line += ", \(itemCount) \(items)" }
    line += ", \(ByteSize(UInt64(bytesPerSecond)))/s"
    if let byteCount, byteCount > byteCountDone, bytesPerSecond > 1 {
      let left = Int((Double(byteCount - byteCountDone) / bytesPerSecond).rounded(.up))
      line += left < 60 ? ", \(left) s left" : ", \(left / 60) min \(left % 60) s left"
    }
    return line
  }
}
