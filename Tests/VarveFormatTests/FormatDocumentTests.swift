import Foundation
import Testing
import VarveFormat

/// FORMAT.md and the code say the same, in both directions.
@Suite struct FormatDocumentTests {
  /// Every layout of the code, by the heading of its table.
  static let layouts: [String: [FieldLayout]] = [
    "Page header": PageHeader.layout,
    "Segment header": SegmentHeader.layout,
    "Frame header": FrameHeader.layout,
    "Record header": RecordHeader.layout,
    "Batch fields": RecordHeader.batchLayout,
    "Expiry field": RecordHeader.expiryLayout,
    "Summary page": SummaryPage.layout,
    "Segment table page": SegmentTablePage.layout,
    "Segment entry": SegmentEntry.layout,
    "Superblock": Superblock.layout,
    "Checkpoint reference": CheckpointReference.layout,
    "Checkpoint page": CheckpointPage.layout,
    "Checkpoint entry": CheckpointPage.entryLayout,
    "Checkpoint generation": CheckpointPage.generationLayout,
    "Checkpoint root": CheckpointPage.rootLayout,
  ]

  @Test("Offsets, byte counts and names of all fields are those of the code")
  func tables() throws {
    let documented = try FormatDocument.load().layouts
    #expect(Set(documented.keys) == Set(Self.layouts.keys))
    for (heading, fields) in Self.layouts {
      let found = documented[heading] ?? []
      for field in fields where !found.contains(field) {
        Issue.record("\(heading): FORMAT.md lacks or differs in \(field)")
      }
      for field in found where !fields.contains(field) {
        Issue.record("\(heading): the code lacks or differs in \(field)")
      }
      #expect(found == fields, "\(heading): the order differs")
    }
  }

  @Test("No field of the code is left out of the layouts")
  func allFieldsAreListed() throws {
    let sources = try Self.sources()
    let fields = sources.matches(of: #/= FieldLayout\("/#).count
    #expect(fields == Self.layouts.values.reduce(0) { $0 + $1.count })
    let lists = sources.matches(of: #/static let \w*[lL]ayout = \[/#).count
    #expect(lists == Self.layouts.count)
  }

  @Test("Fields lie one behind the other, without gaps")
  func contiguous() {
    for (heading, fields) in Self.layouts {
      for (field, next) in zip(fields, fields.dropFirst()) {
        #expect(field.end == next.byteOffset, "\(heading): \(field.name), \(next.name)")
      }
      #expect(Set(fields.map(\.name)).count == fields.count, "\(heading): a name twice")
    }
    #expect(Superblock.layout.last?.end == Limits.pageByteCount)
    #expect(PageHeader.layout.last?.end == PageHeader.byteCount)
    #expect(FrameHeader.layout.last?.end == FrameHeader.payloadByteOffset)
    #expect(SegmentEntry.layout.last?.end == SegmentEntry.byteCount)
    #expect(CheckpointReference.layout.last?.end == CheckpointReference.byteCount)
    for layout in [
      SegmentHeader.layout, FrameHeader.layout, SummaryPage.layout, SegmentTablePage.layout,
      CheckpointPage.layout,
    ] {
      #expect(layout.first?.byteOffset == PageHeader.byteCount)
    }
  }

  @Test("The table of limits is that of the code")
  func limits() throws {
    let values: [String: UInt64] = [
      "pageByteCount": UInt64(Limits.pageByteCount),
      "sectorByteCount": UInt64(Limits.sectorByteCount),
      "maximumKeyByteCount": UInt64(Limits.maximumKeyByteCount),
      "maximumValueByteCount": UInt64(Limits.maximumValueByteCount),
      "maximumBatchOperationCount": UInt64(Limits.maximumBatchOperationCount),
      "maximumBatchByteCount": UInt64(Limits.maximumBatchByteCount),
      "minimumDeviceByteCount": Limits.minimumDeviceByteCount,
      "minimumSegmentByteCount": UInt64(Limits.minimumSegmentByteCount),
      "maximumSegmentByteCount": UInt64(Limits.maximumSegmentByteCount),
      "minimumSegmentCount": UInt64(Limits.minimumSegmentCount),
      "maximumPageCount": Limits.maximumPageCount,
      "maximumExtentPageCount": UInt64(Limits.maximumExtentPageCount),
      "maximumSegmentPageCount": UInt64(Limits.maximumSegmentPageCount),
      "maximumCounter": Limits.maximumCounter,
      "maximumGeneration": UInt64(Limits.maximumGeneration),
      "maximumExpansion": UInt64(Limits.maximumExpansion),
    ]
    let table = try FormatDocument.load().tables.first { $0.heading == "Limits" }
    let rows = try #require(table).rows
    let documented = rows.reduce(into: [String: UInt64]()) { $0[$1[0]] = UInt64($1[1]) }
    #expect(documented == values)
    let source = try String(
      contentsOf: Self.sourceFolder.appending(path: "Limits.swift"), encoding: .utf8)
    #expect(source.matches(of: #/public static let /#).count == values.count)
  }

  @Test("The list of versions ends with the version that is written")
  func versions() throws {
    let document = try FormatDocument.load()
    let table = try #require(document.tables.first { $0.heading == "Versions" })
    #expect(table.rows.map { $0[0] } == (1...Superblock.formatVersion).map(String.init))
    let isTitle = document.text.contains("format, version \(Superblock.formatVersion)\n")
    #expect(isTitle)
  }

  @Test("Numbers in the text are those of the code")
  func numbersInTheText() throws {
    let text = try FormatDocument.load().text.replacing("\n", with: " ")
    for phrase in [
      "⌈(end / segment pages) / \(SegmentTablePage.entriesPerPage)⌉",
      "entries page, at most \(CheckpointPage.entriesPerPage).",
      "generations page, at most \(CheckpointPage.generationsPerPage),",
      "records begin at byte \(FrameHeader.payloadByteOffset) of that extent, and at byte "
        + "\(FrameHeader.continuationPayloadByteOffset) of further ones",
      "Records begin at multiples of \(RecordHeader.alignment) bytes",
      "A value of \(ValueCodec.minimumByteCount) bytes or more",
      "the top \(KeyHash.selectorBitCount) bits of bytes 8–15",
    ] {
      let isSaid = text.contains(phrase)
      #expect(isSaid, "FORMAT.md does not say: \(phrase)")
    }
  }

  private static let sourceFolder = FormatDocument.root.appending(path: "Sources/VarveFormat")

  private static func sources() throws -> String {
    try FileManager.default.contentsOfDirectory(atPath: sourceFolder.path)
      .filter { $0.hasSuffix(".swift") }
      .map { try String(contentsOf: sourceFolder.appending(path: $0), encoding: .utf8) }
      .joined()
  }
}
