import Console
import Foundation
import FoundationXML
import Testing
import Varve

/// `kvctl segments`, from outside.
@Suite struct SegmentsTests {
  /// The titles of an SVG, where it is well formed.
  private final class Titles: NSObject, XMLParserDelegate {
    var titles: [String] = []
    var elementCounts: [String: Int] = [:]
    private var text: String?

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
      qualifiedName: String?, attributes: [String: String]
    ) {
      elementCounts[name, default: 0] += 1
      if name == "title" { text = "" }
    }

    func parser(_ parser: XMLParser, foundCharacters characters: String) {
      text? += characters
    }

    func parser(
      _ parser: XMLParser, didEndElement name: String, namespaceURI: String?,
      qualifiedName: String?
    ) {
      guard name == "title" else { return }
      titles.append(text ?? "")
      text = nil
    }

    init(_ bytes: [UInt8]) throws {
      super.init()
      let parser = XMLParser(data: Data(bytes))
      parser.delegate = self
      try #require(parser.parse(), "\(String(describing: parser.parserError))")
    }
  }

  private func shares(_ json: JSONValue) -> [JSONValue?] {
    (json["segments"]?.elements ?? []).map { $0["liveShare"] }
  }

  @Test("A store that is not in use: every segment with what is live")
  func closed() throws {
    let place = try Workplace()
    let store = try place.store()
    for number in 0..<3 { _ = try ToolProcess.kvctl("put", store, "k\(number)", "v") }
    let ended = try ToolProcess.kvctl("segments", store, "--json")
    #expect(ended.status == 0 && ended.errors.isEmpty, "\(ended.errors)")
    let json = try ended.json
    let segments = try #require(json["segments"]?.elements)
    #expect(json["live"] == false && json["holderPid"] == .null && json["findings"] == [])
    #expect(segments.compactMap { $0["index"]?.integer } == Array(0..<Int64(segments.count)))
    #expect(segments.compactMap { $0["liveRecords"]?.integer }.reduce(0, +) == 3)
    #expect(shares(json).allSatisfy { $0 != nil })
    let info = try ToolProcess.kvctl("info", store, "--json").json
    for name in ["segmentBytes", "freeSegments", "openSegments", "sealedSegments", "uuid"] {
      #expect(json[name] == info[name], "\(name)")
    }
  }

  @Test("A store in use: with a socket all is known, without one what the device says")
  func running() async throws {
    try await RunningStore.with { store, path, _ in
      try await RunningStore.fill(store, 0..<200)
      while store.segments.count(where: { $0.state == .sealed }) < 5 { await Task.yield() }
      let json = try ToolProcess.kvctl("segments", path, "--json").json
      #expect(json["live"] == true && json["holderPid"]?.integer == Int64(getpid()))
      #expect(json["findings"] == [])
      #expect(shares(json).allSatisfy { $0 != nil })
      let live = (json["segments"]?.elements ?? []).compactMap { $0["liveRecords"]?.integer }
      #expect(live.reduce(0, +) == 200)
    }
    try await RunningStore.with(servesNothing: true) { store, path, _ in
      try await RunningStore.fill(store, 0..<200)
      while store.segments.count(where: { $0.state == .sealed }) < 5 { await Task.yield() }
      let ended = try ToolProcess.kvctl("segments", path, "--json")
      #expect(ended.status == 0)
      let json = try ended.json
      #expect(json["live"] == true && json["liveShare"] == .null)
      #expect(json["findings"]?.elements?.first?.text?.contains("not known") == true)
      let sealed = (json["segments"]?.elements ?? []).filter { $0["state"] == "sealed" }
      #expect(sealed.count >= 5 && sealed.allSatisfy { $0["records"] != nil })
      let text = try ToolProcess.kvctl("segments", path).text
      #expect(text.contains("live, may be stale: in use by process \(getpid())"))
      #expect(text.contains("?  not known what is live"))
    }
  }

  @Test("The drawing is well formed, and has a title for each segment")
  func drawing() throws {
    let place = try Workplace()
    let name = "a <b> & \"c\""
    let store = try place.store(name)
    _ = try ToolProcess.kvctl("put", store, "k", "v")
    let ended = try ToolProcess.kvctl("segments", store, "--svg", place.path("map.svg"))
    #expect(ended.status == 0 && ended.text.contains("a cell is one segment"))
    let count = try #require(
      try ToolProcess.kvctl("info", store, "--json").json["segments"]?.integer)
    let drawing = try Titles(place.bytes(of: "map.svg"))
    #expect(drawing.titles.first == "Segments of \(store)")
    #expect(drawing.titles.count == Int(count) + 1)
    #expect(drawing.titles.contains { $0.contains("user, ") && $0.contains("1 live record") })
    #expect(drawing.elementCounts["svg"] == 1 && drawing.elementCounts["script"] == nil)
    let output = try ToolProcess.kvctl("segments", store, "--svg", "-")
    #expect(try Titles(output.output).titles == drawing.titles)
    // It is written over, and so is what is empty.
    #expect(
      try ToolProcess.kvctl("segments", store, "--svg", place.path("map.svg")).status == 0)
    try place.write([], to: "empty")
    #expect(try ToolProcess.kvctl("segments", store, "--svg", place.path("empty")).status == 0)
  }

  @Test("What is no drawing is not written over, least of all the store")
  func drawingElsewhere() throws {
    let place = try Workplace()
    let store = try place.store()
    _ = try ToolProcess.kvctl("put", store, "k", "v")
    try place.write(Array("notes".utf8), to: "notes")
    for path in [store, place.path("notes")] {
      let ended = try ToolProcess.kvctl("segments", store, "--svg", path, "--json")
      #expect(ended.status == 30, "\(ended.errors)")
      #expect(try ended.error["code"] == "refused")
    }
    #expect(place.bytes(of: "notes") == Array("notes".utf8))
    #expect(try ToolProcess.kvctl("get", store, "k").text == "v")
    #expect(try ToolProcess.kvctl("segments", store, "--svg", place.folder).status == 1)
  }

  @Test("Colours and characters are those of the terminal")
  func terminal() throws {
    let place = try Workplace()
    let store = try place.store()
    func text(_ arguments: String..., environment: [String: String] = [:]) throws -> String {
      let process = try ToolProcess(
        "kvctl", ["segments", store] + arguments, environment: environment)
      return process.end().text
    }
    #expect(try !text().contains("\u{1B}"))
    #expect(try text("--color", "always").contains("\u{1B}[90m"))
    #expect(try !text("--color", "never").contains("\u{1B}"))
    #expect(try text(environment: ["LC_ALL": "C.UTF-8"]).contains("·"))
    #expect(try text(environment: ["LC_ALL": "C"]).allSatisfy(\.isASCII))
    let narrow = try text(environment: ["COLUMNS": "30", "LC_ALL": "C"])
    #expect(narrow.contains("\n  0  ................\n"))
  }

  @Test("A damaged store is drawn from what is left")
  func damaged() throws {
    let place = try Workplace()
    let store = try place.store()
    #expect(truncate(store, 8 << 20) == 0)
    let ended = try ToolProcess.kvctl("segments", store, "--json")
    #expect(ended.status == 0, "\(ended.errors)")
    let findings = try ended.json["findings"]?.elements ?? []
    #expect(findings.contains { $0.text?.contains("not counted") == true }, "\(findings)")
  }
}
