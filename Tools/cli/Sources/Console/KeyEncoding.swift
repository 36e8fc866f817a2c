import ArgumentParser

/// How keys and values stand on the command line.
public struct KeyEncoding: ParsableArguments {
  /// Keys and values are hexadecimal digits.
  @Flag(name: .customLong("hex"), help: "Keys and values are given and printed as hexadecimal.")
  public var isHexadecimal = false
  /// Keys and values are base64.
  @Flag(name: .customLong("base64"), help: "Keys and values are given and printed as base64.")
  public var isBase64 = false

  /// Made by the parser.
  public init() {}

  /// Refuses both at once.
  public mutating func validate() throws {
    guard !(isHexadecimal && isBase64) else {
      throw ValidationError("--hex and --base64 exclude each other")
    }
  }

  /// The bytes that a text stands for.
  ///
  /// - Throws: where it is not in the encoding asked for.
  public func decode(_ text: String, what: String) throws(ToolError) -> [UInt8] {
    if isHexadecimal {
      guard let bytes = Hexadecimal.decode(text) else {
        throw .usage("the \(what) is not hexadecimal: it takes pairs of the digits 0-9 and a-f")
      }
      return bytes
    }
    if isBase64 {
      guard let bytes = Base64.decode(text) else { throw .usage("the \(what) is not base64") }
      return bytes
    }
    return Array(text.utf8)
  }

  /// The text for some bytes, or nil where they are to be written as they are.
  public func encode(_ bytes: [UInt8]) -> String? {
    if isHexadecimal { return Hexadecimal.encode(bytes) }
    if isBase64 { return Base64.encode(bytes) }
    return nil
  }
}
