import Console
import Glibc

/// Reads lines from a person: on a terminal with editing and a history (arrow keys, home, end,
/// backspace, control-A, -E, -U, -C, -D); elsewhere plainly.
struct LineEditor {
  private(set) var history: [String] = []
  private var lines = LineReader(descriptor: 0)
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

  private enum Key {
    case character(Character)
    case up, down, left, right, home, end, backspace, clear, enter, endOfInput, other
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
    while true {
      try show(prompt: prompt, text: text, cursor: cursor)
      switch readKey() {
      case .enter:
        try ByteOutput.standard.writeLine("")
        try ByteOutput.standard.flush()
        return String(text)
      case .endOfInput where text.isEmpty:
        try ByteOutput.standard.writeLine("")
        try ByteOutput.standard.flush()
        return nil
      case .up where place > 0:
        place -= 1
        text = Array(history[place])
        cursor = text.count
      case .down where place < history.count:
        place += 1
        text = place < history.count ? Array(history[place]) : []
        cursor = text.count
      case let key: Self.apply(key, to: &text, cursor: &cursor)
      }
    }
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
    guard let byte = readByte() else { return .endOfInput }
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

  private func readByte() -> UInt8? {
    var byte: UInt8 = 0
    // SAFETY: one byte is read into a local variable.
    return unsafe read(0, &byte, 1) == 1 ? byte : nil
  }
}
