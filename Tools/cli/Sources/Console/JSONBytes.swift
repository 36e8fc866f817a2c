/// Bytes in JSON: as text under a name, or as base64 under the name with `B64` at its end.
public enum JSONBytes {
  /// The member for some bytes: text where they are UTF-8 and base64 is not asked for.
  public static func member(
    _ name: String, _ bytes: [UInt8], alwaysBase64: Bool = false
  ) -> JSONValue.Member {
    if !alwaysBase64, let text = String(validating: bytes, as: UTF8.self) {
      return JSONValue.Member(name, .string(text))
    }
    return JSONValue.Member(name + "B64", .string(Base64.encode(bytes)))
  }

  /// The bytes that an object names; nil where it names none.
  ///
  /// - Throws: where the member is no string, is not base64, or stands there in both forms.
  public static func bytes(_ name: String, in object: JSONValue) throws(ToolError) -> [UInt8]? {
    switch (object[name], object[name + "B64"]) {
    case (nil, nil): return nil
    case (.some, .some): throw .usage("\(name) and \(name)B64 exclude each other")
    case (.some(let value), nil):
      guard let text = value.text else { throw .usage("\(name) must be a string") }
      return Array(text.utf8)
    case (nil, .some(let value)):
      guard let text = value.text, let bytes = Base64.decode(text) else {
        throw .usage("\(name)B64 must be a string of base64")
      }
      return bytes
    }
  }
}
