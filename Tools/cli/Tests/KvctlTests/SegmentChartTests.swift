import Console
import Foundation
import Testing
import Varve

@testable import kvctl

/// The map as a function of what is known.
@Suite struct SegmentChartTests {
  private func segment(
    _ stream: SegmentInfo.Stream?, _ state: SegmentInfo.State = .sealed, live: Int? = nil,
    of records: Int = 100
  ) -> SegmentInfo {
    var info = SegmentInfo()
    info.byteCount = 1 << 20
    guard let stream else { return info }
    info.stream = stream
    info.state = state
    info.usedByteCount = 1 << 20
    info.recordCount = records
    info.liveRecordCount = live
    info.liveByteCount = live.map { ($0 * info.byteCount + records - 1) / records }
    info.generation = 2
    return info
  }

  private func map(_ segments: [SegmentInfo]) -> SegmentMap {
    var map = SegmentMap()
    map.label = "carts"
    map.segmentByteCount = 1 << 20
    map.segments = segments.enumerated().map { position, segment in
      var segment = segment
      segment.index = position
      return segment
    }
    return map
  }

  private var mixed: [SegmentInfo] {
    [
      segment(.user, live: 10), segment(.user, live: 30), segment(.user, live: 60),
      segment(.user, live: 100), segment(.user, .open, live: 50), segment(.checkpoint),
      segment(.relocation1, live: 75), segment(nil), segment(nil), segment(nil),
    ]
  }

  private func text(_ map: SegmentMap, _ terminal: Terminal) -> String {
    SegmentChart(map: map, path: "s", terminal: terminal).text
  }

  @Test func aSmallStore() {
    let terminal = Terminal(columnCount: 18, usesColor: false, usesUnicode: true)
    #expect(
      text(map(mixed), terminal) == """
        store  s (carts)
        state  not in use
        map    10 segments of 1 MiB; a cell is one segment

        0  ░▒▓█oc█·
        8  ··

        ░ ▒ ▓ █  live: up to 25, 50, 75, 100 %   · free   o open   c checkpoint

                     segments  sealed  open   live  live bytes, about
        user                5       4     1   50 %            2.5 MiB
        relocation1         1       1     0   75 %            768 KiB
        checkpoint          1       1     0  100 %              1 MiB
        free                3       0     0    0 %                0 B
        all                10       6     1   43 %            4.3 MiB
        """)
  }

  @Test func coloursAndASCII() {
    let terminal = Terminal(columnCount: 80, usesColor: true, usesUnicode: false)
    let lines = text(map(mixed), terminal).split(separator: "\n")
    let (user, end) = ("\u{1B}[36m", "\u{1B}[0m")
    #expect(
      lines.contains(
        "0  \(user)-=%#o\(end)\u{1B}[32mc\(end)\u{1B}[33m#\(end)\u{1B}[90m...\(end)"), "\(lines)")
    #expect(
      lines.contains(
        "\(user)user\(end)  \u{1B}[33mrelocation1\(end)  \u{1B}[32mcheckpoint\(end)"))
  }

  @Test func whatIsNotKnown() {
    var live = map([segment(.user), segment(nil), segment(.user, .open)])
    live.isLive = true
    live.holderProcessID = 7
    live.findings = ["a finding"]
    let terminal = Terminal(columnCount: 80, usesColor: false, usesUnicode: false)
    let text = text(live, terminal)
    #expect(text.contains("\n0  ?.o\n"))
    #expect(text.contains("state  live, may be stale: in use by process 7\n"))
    #expect(text.contains("note   a finding\n"))
    #expect(text.contains("\n?  not known what is live\n"))
    #expect(text.hasSuffix("\nall          3       1     1     ?                  ?"))
  }

  @Test func aLargeStoreFitsTheScreen() {
    let segments = (0..<100_000).map { segment($0 < 50_000 ? .user : nil, live: 100) }
    let terminal = Terminal(columnCount: 80, usesColor: false, usesUnicode: false)
    let lines = text(map(segments), terminal).split(separator: "\n")
    #expect(lines.contains("map    100000 segments of 1 MiB; a cell is 64 segments"))
    #expect(lines.count < 45)
    #expect(lines.allSatisfy { $0.count <= 80 })
    #expect(lines.count { $0.hasSuffix(String(repeating: "#", count: 64)) } == 12)
    #expect(lines.contains { $0.hasPrefix(" 4096  ####") })
  }

  @Test func binsMixWhatTheyHold() {
    let bins = SegmentBin.bins(map(mixed).segments, limit: 5)
    #expect(bins.map(\.range) == [0..<2, 2..<4, 4..<6, 6..<8, 8..<10])
    #expect(bins.map(\.stream) == [.user, .user, .user, .relocation1, nil])
    #expect(bins.map(\.isOpen) == [false, false, true, false, false])
    let shares = bins.map { (($0.liveShare ?? -1) * 1000).rounded() }
    #expect(shares == [200, 800, 750, 375, 0])
    #expect(SegmentBin.bins([], limit: 5).isEmpty)
    #expect(SegmentBin.bins(map([segment(.user)]).segments, limit: 1)[0].liveShare == nil)
  }

  @Test func aDrawingOfALargeStoreIsBounded() {
    let segments = (0..<100_000).map { _ in segment(.user, live: 50) }
    let text = SegmentDrawing(map: map(segments), path: "s").text
    #expect(text.components(separatedBy: "<title>").count - 1 == 3125 + 1)
    #expect(text.contains("<title>segments 0 to 31: mostly user, 50 % live</title>"))
    #expect(text.contains("100000 segments of 1 MiB, 32 to a cell, 50 % live"))
  }
}
