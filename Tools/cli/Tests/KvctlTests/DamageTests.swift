import Console
import Foundation
import Testing

@Suite struct DamageTests {
  private static let count = 400

  /// A store of small segments with numbered records, closed.
  private func makeStore(in place: Workplace) throws -> String {
    let store = place.path("store")
    let made = try ToolProcess.kvctl(
      "create", store, "--size", "8MiB", "--segment-size", "32KiB")
    try #require(made.status == 0, "\(made.errors)")
    let filler = String(repeating: "z", count: 40)
    let lines = (0..<Self.count).map {
      #"{"key":"k\#($0)","value":"v\#($0)x-\#(filler)\#($0 * 7919)"}"# + "\n"
    }
    let loaded = try ToolProcess.kvctl(
      "load", store, "--jsonl", "-", "-q", input: Array(lines.joined().utf8))
    try #require(loaded.status == 0, "\(loaded.errors)")
    return store
  }

  /// Changes the image where a value lies.
  private func damage(
    _ store: String, at value: String, _ change: (inout Data, Int) -> Void
  ) throws {
    var image = try Data(contentsOf: URL(fileURLWithPath: store))
    let found = try #require(image.range(of: Data(value.utf8)))
    change(&image, found.lowerBound)
    try image.write(to: URL(fileURLWithPath: store))
  }

  private func keys(of dump: ToolProcess.Ended) throws -> Set<String> {
    try Set(
      dump.text.split(separator: "\n").compactMap {
        try JSONParser.parse(Array($0.utf8))["keyB64"]?.text
      })
  }

  @Test("A dump passes over damaged records, names them, and writes all others")
  func oneDamagedPage() throws {
    let place = try Workplace()
    let store = try makeStore(in: place)
    try damage(store, at: "v100x-") { image, offset in image[offset] ^= 1 }
    let dump = try ToolProcess.kvctl("dump", store)
    #expect(dump.status == 20, "\(dump.errors)")
    let missing = Self.count - (try keys(of: dump)).count
    // A page holds some dozens of these records.
    #expect(missing > 0 && missing < 64)
    let named = dump.errors.components(separatedBy: "with digest").count - 1
    // Each on a line of its own, the first once more in the summary.
    #expect(named == missing + 1)
    #expect(dump.errors.contains("\(missing) could not be read"))
    let json = try ToolProcess.kvctl("dump", store, "--json", "-q")
    #expect(json.status == 20)
    #expect(try keys(of: json) == keys(of: dump))
    #expect(json.errors.contains(#""code":"corrupt""#))
  }

  @Test("After damage of unknown extent a dump writes what is left, marked as suspect")
  func unknownExtent() throws {
    let place = try Workplace()
    let store = try makeStore(in: place)
    // Loaded records take their places side by side; this one comes behind all of them.
    #expect(try ToolProcess.kvctl("put", store, "last", "value").status == 0)
    try damage(store, at: "v5x-") { image, offset in
      let start = offset / 32768 * 32768
      image.replaceSubrange(start..<start + 32768, with: Data(count: 32768))
    }
    let refused = try ToolProcess.kvctl("dump", store)
    #expect(refused.status == 20 && refused.output.isEmpty)
    #expect(try ToolProcess.kvctl("get", store, "last", "--allow-degraded").text == "value")
    #expect(try ToolProcess.kvctl("get", store, "k5", "--allow-degraded").status == 20)
    let dump = try ToolProcess.kvctl("dump", store, "--allow-degraded")
    #expect(dump.status == 20)
    let left = try keys(of: dump).count
    #expect(left > 0 && left <= Self.count)
    let suspect = dump.text.components(separatedBy: #""suspect":true"#).count - 1
    #expect(dump.errors.contains("\(left) records were written"), "\(dump.errors)")
    #expect(dump.errors.contains("damage of the log may have taken others"))
    #expect(suspect == 0 || dump.errors.contains("\(suspect) of them suspect"))
  }
}
