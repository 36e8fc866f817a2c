import ArgumentParser
import Console
import Varve

struct SegmentsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "segments",
    abstract: "Draws the segments of a store, and how much of each is live.",
    usage: "kvctl segments STORE [--json] [--svg FILE]",
    discussion: """
      EXAMPLES:
        kvctl segments store.varve
        kvctl segments store.varve --svg store.svg
        kvctl segments store.varve --json

      Never writes. A store that is not in use is opened for reading, to count what
      is live. Of one in use the map needs no lock (then marked live: it may be
      stale), and what is live in it comes over the socket of its service: see
      kvctl stat --help.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Option(
    help: ArgumentHelp(
      "Write the map as SVG too; - is standard output, and then nothing else is printed.",
      valueName: "file"))
  var svg: String?
  @Option(help: ArgumentHelp("The socket of a running store.", valueName: "path"))
  var socket: String?
  @OptionGroup var shared: SharedOptions

  mutating func validate() throws {
    guard svg != "-" || !shared.json else {
      throw ValidationError("--json and --svg - both want standard output")
    }
    guard svg != "" else { throw ValidationError("the path of the SVG file is empty") }
  }

  func run() async throws {
    let path = try StorePath.split(arguments).store
    var map: SegmentMap
    do {
      map = try await Store.segmentMap(path: path, options: shared.storeOptions(readOnly: true))
    } catch {
      throw ToolError(error, subject: path)
    }
    if map.isLive, !map.hasLiveCounts {
      complete(&map, StatisticsSocket(named: socket, store: path))
    }
    if let svg {
      let text = SegmentDrawing(map: map, path: path).text
      guard svg != "-" else { return try ByteOutput.standard.writeLine(text) }
      try DrawingFile.write(Array((text + "\n").utf8), to: svg)
    }
    if shared.json {
      try ByteOutput.standard.writeLine(map.json(path: path))
    } else {
      let terminal = Terminal.standard(color: shared.color)
      try ByteOutput.standard.writeLine(
        SegmentChart(map: map, path: path, terminal: terminal).text)
    }
  }

  /// Asks the process that has the store what is live.
  private func complete(_ map: inout SegmentMap, _ socket: StatisticsSocket) {
    do throws(StatisticsSocket.NoAnswer) {
      map.update(
        with: SegmentMap.segments(inAnswer: try socket.ask("segments", uuid: map.uuid)))
    } catch {
      map.findings.append("what is live is not known: \(socket.path): \(error.reason)")
    }
  }
}
