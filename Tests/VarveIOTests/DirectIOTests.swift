import Foundation
import Testing
import VarveIO

/// The code of the page on VarveIO is this code, and does what it says.
@Suite struct DirectIOTests {
  @Test func theSnippetRuns() async throws {
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    func text(_ path: String) throws -> String {
      try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }
    let blocks = try text("Sources/VarveIO/VarveIO.docc/VarveIO.md")
      .components(separatedBy: "```swift\n").dropFirst()
      .compactMap { $0.components(separatedBy: "```").first }
    #expect(blocks == [try text("Tests/VarveIOTests/DirectIOSnippet.swift")])

    let folder = try TestFolder()
    let file = try DirectFile.create(folder.file(), options: CreateOptions(byteCount: 64 * 4096))
    let device = try Devices.start(file).device
    for page in 0..<64 as Range<UInt64> {
      let buffer = Buffer(4096, filledWith: UInt8(page))
      let error = await device.perform(.write, buffer, byteCount: 4096, at: page * 4096)
      #expect(error == nil)
    }
    device.close()
    #expect(try await sumOfFirstBytes(of: folder.file()) == 63 * 64 / 2)
    #expect(try sumWithoutTasks(of: folder.file()) == 63 * 64 / 2)
  }
}
