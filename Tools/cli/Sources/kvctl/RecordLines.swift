import Console
import Varve

/// Records from lines of JSON, as `dump` writes them.
final class RecordLines: LoadSource {
  private var lines: LineReader
  private var number = 0

  init(descriptor: Int32, name: String) {
    lines = LineReader(descriptor: descriptor, name: name)
  }

  /// The next record to store, or nil at the end.
  ///
  /// - Throws: at a bad line, unless errors are to be skipped.
  func next(_ tally: LoadTally) throws -> Pipeline.Job<LoadTally.Work>? {
    while let line = try lines.next() {
      number += 1
      do throws(ToolError) {
        guard let (key, value, expiry) = try Self.record(line) else { continue }
        return Pipeline.Job(
          work: .record(value, expiry: expiry, line: number), byteCount: key.count + value.count,
          key: key)
      } catch {
        try tally.reject(name: "line \(number)", reason: .badLine(error.message))
      }
    }
    return nil
  }

  /// The key, value and expiry of a line; nil where it is empty.
  private static func record(
    _ line: LineReader.Line
  ) throws(ToolError) -> (key: [UInt8], value: [UInt8], expiry: Expiry)? {
    guard case .bytes(let bytes) = line else {
      throw .usage("longer than \(ByteSize(UInt64(LineReader.maximumByteCount)))")
    }
    guard bytes.contains(where: { $0 != 32 && $0 != 9 && $0 != 13 }) else { return nil }
    let object: JSONValue
    do throws(JSONParseError) {
      object = try JSONParser.parse(bytes)
    } catch {
      throw .usage(error.description)
    }
    if let name = object.repeatedName { throw .usage("\"\(name)\" stands there twice") }
    guard let key = try JSONBytes.bytes("key", in: object),
      let value = try JSONBytes.bytes("value", in: object)
    else { throw .usage("no key and value, or keyB64 and valueB64") }
    guard !key.isEmpty else { throw .usage("the key is empty") }
    return (key, value, try expiry(object))
  }

  private static func expiry(_ object: JSONValue) throws(ToolError) -> Expiry {
    let relative = try TimeToLive.expiry(in: object)
    guard let member = object["expiresMs"] else { return relative ?? .never }
    guard relative == nil else { throw .usage("\"ttl\" and \"expiresMs\" exclude each other") }
    guard let value = member.integer, value >= 1, value <= 1 << 62 else {
      throw .usage("\"expiresMs\" must be milliseconds since 1970")
    }
    return .at(milliseconds: UInt64(value))
  }
}
