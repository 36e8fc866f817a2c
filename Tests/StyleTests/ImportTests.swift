import Testing

@Suite struct ImportTests {
  /// What each target may import, besides its own kind of system module.
  static let allowed: [String: Set<String>] = [
    "VarveFormat": ["CVarveCPU", "CVarveLZ4", "Glibc"],
    "VarveIO": ["CVarveAIO", "CVarveCPU", "VarveFormat", "Glibc", "Synchronization"],
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
      for module in file.imports {
        #expect(allowed.contains(module), "\(file.path) imports \(module)")
      }
    }
  }

  @Test("Tools use products, never the engine's C shims")
  func toolsUseProducts() {
    for file in SourceTree.swiftFiles where file.path.hasPrefix("Tools/") {
      for module in file.imports {
        #expect(!module.hasPrefix("CVarve"), "\(file.path) imports \(module)")
      }
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
