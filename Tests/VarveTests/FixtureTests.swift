import Foundation
import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// Golden images: every store that some version of the format left behind opens, and shows what
/// it showed then. Fixtures/README.md says how the images were made.
@Suite struct FixtureTests {
  /// Recorded texts are rewritten where this is set, to be reviewed as a change of the source.
  static let isRewriting = getenv("VARVE_REWRITE_GOLDENS") != nil

  @Test(arguments: Fixture.allCases) func showsWhatWasRecorded(fixture: Fixture) async throws {
    let image = try fixture.loadImage()
    try await API.withPath { path in
      try Data(image).write(to: URL(filePath: path))
      let found = try await FixtureText.of(path: path)
      if Self.isRewriting {
        try found.text.write(to: fixture.textURL, atomically: true, encoding: .utf8)
      }
      let recorded = try FixtureText(String(contentsOf: fixture.textURL, encoding: .utf8))
      expectSame(found.lines, recorded.lines, fixture)
      let isUntouched = try fixture.loadImage(at: path) == image
      #expect(isUntouched, "\(fixture): opened for reading only, yet changed")
    }
  }

  /// The same store opened for writing: it shows the same, takes writes, and keeps them.
  @Test(arguments: Fixture.allCases) func goesOn(fixture: Fixture) async throws {
    let recorded = try FixtureText(String(contentsOf: fixture.textURL, encoding: .utf8))
    try await API.withPath { path in
      try Data(fixture.loadImage()).write(to: URL(filePath: path))
      let store = try await Store.open(path: path, options: TestingStore.options)
      expectSame(try await FixtureText.keyLines(store), recorded.keyLines, fixture)
      let before = try recorded.number("lastSequence")
      let sequence = try await store.put("written later", "by this engine")
      #expect(sequence > before, "a sequence number was used twice")
      // An overwrite heals a damaged key, too.
      try await store.put(FixtureScript.victim, FixtureScript.victimValue)
      try await store.delete("key-1")
      try await store.close()
      let again = try await Store.open(path: path, options: TestingStore.options)
      #expect(again.recoveryReport.outcome == .clean)
      #expect(try await again.get("written later")?.sequence == sequence)
      #expect(try await again.get("key-1") == nil)
      #expect(try await again.get(FixtureScript.victim)?.value == FixtureScript.victimValue)
      let kept = Set(try await FixtureText.keyLines(again))
      for line in recorded.keyLines
      where !line.contains("key-1 ") && !line.contains("victim ") && !kept.contains(line) {
        Issue.record("\(fixture): lost \(line)")
      }
      try await again.close()
    }
  }

  /// What made the images still makes such stores. With `VARVE_FIXTURE_FOLDER` it writes them
  /// there, over nothing that exists.
  @Test(arguments: Fixture.allCases) func generatorAgrees(fixture: Fixture) async throws {
    let image = try await fixture.make()
    let device = RAMDevice(image: image, delivery: .background)
    let store = try await Store.open(device: device, options: TestingStore.options)
    let lines = try await FixtureText.keyLines(store)
    try await store.close()
    if let folder = getenv("VARVE_FIXTURE_FOLDER") {
      let bytes = image.read(at: 0, byteCount: Int(image.byteCount))
      let name = fixture.rawValue + ".img"
      try Data(bytes).write(
        to: URL(filePath: String(cString: folder)).appending(path: name),
        options: .withoutOverwriting)
    }
    let recorded = try FixtureText(String(contentsOf: fixture.textURL, encoding: .utf8))
    expectSame(lines, recorded.keyLines, fixture)
  }

  private func expectSame(_ found: [String], _ recorded: [String], _ fixture: Fixture) {
    for line in found where !recorded.contains(line) {
      Issue.record("\(fixture): not recorded: \(line)")
    }
    for line in recorded where !found.contains(line) {
      Issue.record("\(fixture): recorded, but not found: \(line)")
    }
    #expect(found.count == recorded.count)
  }
}
