import Testing

@Suite struct ImportTests {
  /// What each target may import, besides its own kind of system module.
  static let allowed: [String: Set<String>] = [
    "VarveFormat": ["CVarveCPU", "CVarveLZ4", "Glibc"],
    "VarveIO": [
      "CVarveAIO", "CVarveURing", "CVarveCPU", "VarveFormat", "Glibc", "Synchronization",
    ],
    "Varve": [
      "CVarveCPU", "VarveFormat", "VarveIO", "Logging", "CoreMetrics", "Glibc", "Synchronization",
    ],
    "VarveCheck": ["VarveFormat", "VarveIO", "Glibc", "Synchronization"],
    "VarveTesting": [
      "Varve", "VarveFormat", "VarveIO", "Logging", "Glibc", "Synchronization",
    ],
    "VarveLifecycle": ["Varve", "ServiceLifecycle", "Logging"],
  ]

  @Test("Imports of library targets point down, and none is Foundation")
  func importsPointDown() throws {
    #expect(!SourceTree.librarySources.isEmpty)
    for file in SourceTree.librarySources {
      let target = String(file.path.split(separator: "/")[1])
      let allowed = try #require(Self.allowed[target], "\(target) has no row in this test")
      Breach.record(
        file.imports.filter { !allowed.contains($0) }
          .map { Breach("\(file.path) imports \($0)") })
    }
  }

  @Test("Tools use products, never the engine's C shims")
  func toolsUseProducts() {
    for file in SourceTree.swiftFiles where file.path.hasPrefix("Tools/") {
      Breach.record(
        file.imports.filter { $0.hasPrefix("CVarve") }
          .map { Breach("\(file.path) imports \($0)") })
    }
  }

  @Test("The reader of imports sees every form of import")
  func importReader() {
    let text = """
      import A
      @testable import B
      public import struct C.Thing
      // import D
      let words = "import E"
      """
    #expect(SourceFile(path: "x.swift", text: text).imports == ["A", "B", "C"])
  }
}
