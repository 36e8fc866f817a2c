import Console
import Glibc

/// Reads lines from a person: on a terminal with editing and a history (arrow keys, home, end,
/// backspace, control-A, -E, -U, -C, -D); elsewhere plainly.
struct LineEditor {
  private(set) var history: [String] = []
  private var lines = LineReader(descriptor: 0, endsOnSignal: true)
  /// Lines kept for the arrow keys.
  private static let maximumHistoryCount = 1000

  /// Whether a person is at the other end.
  let isInteractive = isatty(0) == 1 && isatty(1) == 1

  /// The next line, or nil at the end of input.
  mutating func next(prompt: String) throws -> String? {
    guard isInteractive else {
      guard let line = try lines.next() else { return nil }
      guard case .bytes(let bytes) = line else { return "" }
      return String(decoding: bytes, as: UTF8.self)
    }
    guard let line = try edit(prompt: prompt) else { return nil }
    if !line.isEmpty, history.last != line {
      history.append(line)
      if history.count > Self.maximumHistoryCount { history.removeFirst() }
    }
    return line
  }

  private enum Key: Equatable {
    case character(Character)
    case up, down, left, right, home, end, backspace, clear, enter, endOfInput, closed, other
  }

  private func edit(prompt: String) throws -> String? {
    var saved = termios()
    // SAFETY: both structures are local variables.
    guard unsafe tcgetattr(0, &saved) == 0 else { return nil }
    var raw = saved
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
    unsafe tcsetattr(0, TCSADRAIN, &raw)
    defer { unsafe tcsetattr(0, TCSADRAIN, &saved) }
    var text: [Character] = []
    var cursor = 0
    var place = history.count
    var isShown = false
    while true {
      // What is typed ahead or pasted is shown once, and what is added at the end by itself: the
      // whole line after each key would be work that grows with its square.
      if !isShown, !isKeyWaiting {
        try show(prompt: prompt, text: text, cursor: cursor)
        isShown = true
      }
      let key = readKey()
      switch key {
      case _ where Self.ends(key, text):
        if !isShown { try show(prompt: prompt, text: text, cursor: cursor) }
        try ByteOutput.standard.writeLine("")
        try ByteOutput.standard.flush()
        return key == .enter ? String(text) : nil
      case .character(let character) where isShown && cursor == text.count:
        Self.apply(key, to: &text, cursor: &cursor)
        try ByteOutput.standard.write(Array(String(character).utf8))
        try ByteOutput.standard.flush()
        continue
      case .up where place > 0:
        place -= 1
        text = Array(history[place])
        cursor = text.count
      case .down where place < history.count:
        place += 1
        text = place < history.count ? Array(history[place]) : []
        cursor = text.count
      default: Self.apply(key, to: &text, cursor: &cursor)
      }
      isShown = false
    }
  }

  /// Whether a key ends the line, or the input: control-D does in an empty line.
  private static func ends(_ key: Key, _ text: [Character]) -> Bool {
    key == .enter || key == .closed || (key == .endOfInput && text.isEmpty)
  }

  /// Whether another key has been typed already.
  private var isKeyWaiting: Bool {
    var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    // SAFETY: one structure, a local variable.
    return unsafe poll(&waiting, 1, 0) > 0
  }

  private static func apply(_ key: Key, to text: inout [Character], cursor: inout Int) {
    switch key {
    case .character(let character):
      text.insert(character, at: cursor)
      cursor += 1
    case .left: cursor = max(0, cursor - 1)
    case .right: cursor = min(text.count, cursor + 1)
    case .home: cursor = 0
    case .end: cursor = text.count
    case .backspace where cursor > 0:
      cursor -= 1
      text.remove(at: cursor)
    case .clear:
      text = []
      cursor = 0
    default: break
    }
  }

  private func show(prompt: String, text: [Character], cursor: Int) throws {
    let back = text.count - cursor
    let move = back > 0 ? "\u{1B}[\(back)D" : ""
    try ByteOutput.standard.write(Array("\r\u{1B}[K\(prompt)\(String(text))\(move)".utf8))
    try ByteOutput.standard.flush()
  }

  private func readKey() -> Key {
    guard let byte = readByte() else { return .closed }
    switch byte {
    case 1: return .home
    case 3, 21: return .clear
    case 4: return .endOfInput
    case 5: return .end
    case 8, 127: return .backspace
    case 10, 13: return .enter
    case 27: return readEscape()
    case 0..<32: return .other
    default: return readCharacter(first: byte)
    }
  }

  private func readEscape() -> Key {
    guard readByte() == UInt8(ascii: "["), let code = readByte() else { return .other }
    switch code {
    case UInt8(ascii: "A"): return .up
    case UInt8(ascii: "B"): return .down
    case UInt8(ascii: "C"): return .right
    case UInt8(ascii: "D"): return .left
    case UInt8(ascii: "H"): return .home
    case UInt8(ascii: "F"): return .end
    default: return .other
    }
  }

  private func readCharacter(first: UInt8) -> Key {
    let count = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    var bytes = [first]
    while bytes.count < count, let byte = readByte() { bytes.append(byte) }
    guard let character = String(validating: bytes, as: UTF8.self)?.first else { return .other }
    return .character(character)
  }

  /// Nil where the terminal is gone or a signal came.
  private func readByte() -> UInt8? {
    guard Interruption.waitForInput(0) else { return nil }
    var byte: UInt8 = 0
    // SAFETY: one byte is read into a local variable.
    return unsafe read(0, &byte, 1) == 1 ? byte : nil
  }
}
