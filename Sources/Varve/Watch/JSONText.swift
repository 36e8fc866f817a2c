/// An object of JSON in the making: the little that the store says of itself, without Foundation.
struct JSONText {
  private(set) var bytes: [UInt8] = []
  /// Whether a comma is due before the next member.
  private var hasMembers = false

  /// Begins an object.
  init() { bytes.append(UInt8(ascii: "{")) }

  mutating func add(_ name: String, _ text: String) {
    begin(name)
    write(text)
  }

  mutating func add(_ name: String, _ number: some BinaryInteger) {
    begin(name)
    bytes += String(number).utf8
  }

  /// Adds a number; what is none is null.
  mutating func add(_ name: String, _ number: Double) {
    begin(name)
    bytes += (number.isFinite ? "\(number)" : "null").utf8
  }

  mutating func add(_ name: String, _ flag: Bool) {
    begin(name)
    bytes += (flag ? "true" : "false").utf8
  }

  /// Adds a member unless there is nothing to say.
  mutating func add(_ name: String, _ number: (some BinaryInteger)?) {
    if let number { add(name, number) }
  }

  /// Adds an object.
  mutating func add(_ name: String, _ body: (inout JSONText) -> Void) {
    begin(name)
    var inner = JSONText()
    body(&inner)
    inner.end()
    bytes += inner.bytes
  }

  /// Begins the member that is an array; its elements and its end are the caller's.
  mutating func beginArray(_ name: String) {
    begin(name)
    bytes.append(UInt8(ascii: "["))
  }

  /// Ends the object.
  mutating func end() { bytes.append(UInt8(ascii: "}")) }

  private mutating func begin(_ name: String) {
    if hasMembers { bytes.append(UInt8(ascii: ",")) }
    hasMembers = true
    write(name)
    bytes.append(UInt8(ascii: ":"))
  }

  private mutating func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
      case 0..<32, 127:
        let digits = Array("0123456789abcdef".utf8)
        bytes += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
