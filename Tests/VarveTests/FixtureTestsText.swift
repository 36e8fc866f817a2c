import Foundation
import Testing
import Varve
import VarveFormat

@testable import VarveTesting

/// What the engine shows of a store, as text: one fact a line.
struct FixtureText {
  let lines: [String]

  var text: String { lines.joined(separator: "\n") + "\n" }

  /// The lines about keys.
  var keyLines: [String] { lines.filter { $0.hasPrefix("key ") } }

  init(_ text: String) { lines = text.split(separator: "\n").map(String.init) }

  private init(lines: [String]) { self.lines = lines }

  /// A number that a line records.
  func number(_ name: String) throws -> UInt64 {
    let line = try #require(lines.first { $0.hasPrefix(name + " ") })
    return try #require(UInt64(line.dropFirst(name.count + 1)))
  }

  /// Opens the store at a path for reading only and writes down what it shows.
  static func of(path: String) async throws -> FixtureText {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    let crc = Checksum.plain(bytes.span.bytes)
    var lines = ["image \(bytes.count) bytes, crc32c \(String(crc, radix: 16))"]
    let info = try await Store.info(path: path)
    lines += [
      "uuid \(info.uuid)", "label \(info.label)", "formatVersion \(info.formatVersion)",
      "deviceByteCount \(info.deviceByteCount)", "segmentByteCount \(info.segmentByteCount)",
      "segmentCount \(info.segmentCount)", "freeSegmentCount \(info.freeSegmentCount)",
      "openSegmentCount \(info.openSegmentCount)",
      "sealedSegmentCount \(info.sealedSegmentCount)",
      "maximumValueByteCount \(info.maximumValueByteCount)",
      "wasClosedCleanly \(info.wasClosedCleanly)", "lastSequence \(info.lastSequence)",
      "openCount \(info.openCount)", "createdMilliseconds \(info.createdMilliseconds)",
      "hasCheckpoint \(info.hasCheckpoint)",
      "validSuperblockCount \(info.validSuperblockCount)",
    ]
    var options = TestingStore.options
    options.readOnly = true
    let store = try await Store.open(path: path, options: options)
    let report = store.recoveryReport
    lines += [
      "outcome \(report.outcome.rawValue)", "usedCheckpoint \(report.usedCheckpoint)",
      "droppedRecordCount \(report.droppedRecordCount)",
      "droppedByteCount \(report.droppedByteCount)", "findings \(report.findings.count)",
    ]
    lines += try await keyLines(store)
    lines.append("records \(await recordCount(store))")
    try await store.close()
    return FixtureText(lines: lines)
  }

  /// A line for every key that the script ever touched.
  static func keyLines(_ store: Store) async throws -> [String] {
    var lines: [String] = []
    for key in FixtureScript.keys {
      var state: String
      do {
        if let found = try await store.get(key) {
          state = "sequence \(found.sequence), \(found.value.count) bytes, \(digest(found.value))"
        } else {
          state = "absent"
        }
      } catch {
        state = error.code.rawValue
      }
      lines.append("key \(name(key)) \(state)")
    }
    return lines
  }

  /// How many records iteration meets, or why it ends early.
  private static func recordCount(_ store: Store) async -> String {
    var count = 0
    do throws(StoreError) {
      var iterator = store.records.makeAsyncIterator()
      while try await iterator.next() != nil { count += 1 }
      return "\(count)"
    } catch {
      return error.code.rawValue
    }
  }

  /// The key itself where it is short text.
  private static func name(_ key: [UInt8]) -> String {
    guard key.count <= 40, key.allSatisfy({ 0x20..<0x7f ~= $0 }) else {
      return "(\(key.count) bytes, \(digest(key)))"
    }
    return String(decoding: key, as: UTF8.self)
  }

  private static func digest(_ bytes: [UInt8]) -> String {
    let digest = SipHash.digest13(of: bytes.span.bytes, key: HashKey(low: 0, high: 0))
    return String(digest.high, radix: 16) + "." + String(digest.low, radix: 16)
  }
}
