import Console
import Testing

@Suite struct TextTableTests {
  @Test("Columns are as wide as they must be")
  func table() {
    let text = TextTable.text([["", "a", "b"], ["long", "1", "22"]], leftColumns: [0])
    #expect(text == "      a   b\nlong  1  22")
    #expect(TextTable.text([], leftColumns: []) == "")
  }

  @Test("Long texts are wrapped behind their label")
  func wrapped() {
    let words = String(repeating: "word ", count: 40)
    let lines = TextTable.wrapped(words, label: "NOTE  ").split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines.allSatisfy { $0.count <= 80 })
    #expect(lines[0].hasPrefix("NOTE  word") && lines[1].hasPrefix("      word"))
    let long = String(repeating: "x", count: 100)
    #expect(TextTable.wrapped(long, label: "- ") == "- " + long)
  }
}
